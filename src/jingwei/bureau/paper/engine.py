"""Typst in a process of its own, which gives back its memory and takes nobody with it if it falls:
`python -I engine.py FOLDER TIME`. What is told comes as JSON on standard input, the pictures lie in
FOLDER under their numbers; the PDF goes to standard output, what hinders it to standard error.

It knows nothing of Jingwei, so it starts fast.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pylopdf_fonts_zh_cn
import typst


def main(folder: str, time: int) -> int:
    told = json.loads(sys.stdin.buffer.read())
    fonts = typst.Fonts(
        include_system_fonts=False,
        include_embedded_fonts=True,
        font_paths=[str(pylopdf_fonts_zh_cn.serif_path().parent)],
    )
    template = Path(__file__).with_name("a4.typ").read_bytes()

    def compiled(told: dict[str, Any]) -> bytes:
        engine = typst.Compiler(
            template,
            root=folder,  # nothing else can be read
            font_paths=fonts,
            sys_inputs={"told": json.dumps(told, ensure_ascii=False)},
        )
        made = engine.compile(format="pdf", pdf_standards=["a-2u"], timestamp=time)
        assert isinstance(made, bytes)
        return made

    def readable(number: int, kind: str) -> bool:
        alone = {
            "is": "pictures",
            "kind": "",
            "shown": [{"picture": number, "alt": "", "runs": []}],
        }
        try:
            compiled({**told, "blocks": [alone], "kinds": [""] * number + [kind]})
        except typst.TypstError:
            return False
        return True

    try:
        try:
            made = compiled(told)
        except typst.TypstError:
            if not told["kinds"]:
                raise
            kinds = [k if readable(n, k) else "" for n, k in enumerate(told["kinds"])]
            made = compiled({**told, "kinds": kinds})
    except typst.TypstError as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(made)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
