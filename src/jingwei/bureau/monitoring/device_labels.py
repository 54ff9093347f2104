"""What the gateways and the dialogues say in short words, in the reader's language."""

from __future__ import annotations

from typing import Any

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from jingwei import hj212
from jingwei.bureau.language import english
from jingwei.standards import codes

# Why a telegram was refused (`telemetry.intake.REASONS`) or the connection ended (`cut:…`), what the
# desk counts, the deviations that the decoder names (`hj212.Message.problems`), and what the lake
# finds odd (`observations.PROBLEMS`).
ERRORS = {
    "crc": _("Wrong check sum"),
    "format": _("Not a telegram of HJ 212"),
    "network": _("Not from an address of this device"),
    "disabled": _("Device disabled"),
    "password": _("Wrong password"),
    "st": _("System type not registered"),
    "no_key": _("Encrypted, and no key is registered"),
    "wrong_key": _("Encrypted, and no key opens it"),
    "flood": _("More telegrams than are taken of one device"),
    "oversized": _("Longer than a telegram may be"),
    "rubbish": _("Bytes that are no telegram"),
    "half": _("Telegram that never ended"),
    "cut:idle": _("Cut off: silent for too long"),
    "cut:half": _("Cut off: a telegram never ended"),
    "cut:rubbish": _("Cut off: too many bytes that are no telegram"),
    "cut:refused": _("Cut off: too many refused telegrams"),
    "cut:flood": _("Cut off: more telegrams than are taken of one device"),
    "cut:unread": _("Cut off: answers were not read"),
    "slowed": _("Read slowly: it sends more than is taken of one device"),
    "split_incomplete": _("Split telegram not complete"),
    "split_differs": _("Packet came again with other content"),
    "clear text although the device has a key": _("Clear text although the device has a key"),
    "the key before the present one": _("Encrypted with the former key"),
    "segment over 1024 bytes": _("Data segment over 1024 bytes"),
    "encoding": _("Text in GB18030 instead of UTF-8"),
    "not a number": _("A value is no number"),
    "implausible": _("Minimum, mean and maximum out of order"),
    "given twice": _("Something given twice"),
    "version bits of the Flag": _("The Flag says another version"),
    "MN is not 24 hexadecimal digits": _("MN is not 24 hexadecimal digits"),
    "MN is not 14 characters": _("MN is not 14 characters"),
    "PW is not 6 characters": _("Password is not 6 characters"),
    "QN is not 17 digits": _("QN is not 17 digits"),
    "no QN": _("No QN"),
    "no Flag": _("No Flag"),
    "no PW": _("No password"),
    "no ST": _("No system type"),
    "DataTime of 17 digits": _("DataTime of 17 digits"),
    "DataTime is no time": _("DataTime is no time"),
    "spaces": _("Spaces where none belong"),
    "empty part": _("Separators too many"),
    "',' between items": _("Comma between factors"),
    "';' inside an item": _("Semicolon inside a factor"),
    "field not in the standard": _("Field not in the standard"),
    "parameter not in the standard": _("Parameter not in the standard"),
    "terminator '**' instead of CR LF": _("Ends with '**' instead of CR LF"),
    "header field not in the standard": _("Field of the header not in the standard"),
    "',' for ';' in the header": _("Comma between fields of the header"),
    "PNO before PNUM": _("PNO before PNUM"),
    "no CP": _("No CP"),
    "no ';' before CP": _("No semicolon before CP"),
    "CP is not closed by '&&'": _("CP is not closed by '&&'"),
    "ellipsis": _("CP ends with an ellipsis"),
    "Flag says split, but there is no PNUM and PNO": _("The Flag says split, but PNUM or PNO is missing"),
    "PNUM and PNO, but the Flag does not say split": _("PNUM and PNO, but the Flag does not say split"),
    "CN in no version of the standard": _("Command in no version of the standard"),
    **{
        f"{what} not in the standard of {version}": format_lazy("{}（HJ 212-{}）", words, version)
        for what, words in (
            ("CN", _("Command not in this version of the standard")),
            ("ST", _("System type not in this version of the standard")),
        )
        for version in hj212.VERSIONS
    },
    **{f"{name} is no number": format_lazy("{} {}", name, _("is no number"))
       for name in ("Flag", "PNUM", "PNO")},
    "unreadable": _("Cannot be read from the journal"),
    "no_time": _("No time that can be"),
    "clock_ahead": _("Clock ahead: the value is not taken for the latest"),
    "clock_behind": _("Clock more than a year behind"),
    "not_a_number": _("A value is no number"),
    "no_value": _("A factor without any value"),
    "given_twice": _("A factor twice in a telegram: the later one counts"),
    "repeated": _("The same telegram again: stored once"),
    "not_in_the_lake": _("Data of a kind that is kept as sent only"),
}  # fmt: skip
REFUSALS = (
    "crc",
    "format",
    "network",
    "disabled",
    "password",
    "st",
    "no_key",
    "wrong_key",
    "flood",
    "oversized",
    "rubbish",
    "half",
    "cut:half",
    "cut:rubbish",
    "cut:refused",
    "cut:flood",
    "cut:unread",
)

WHY = {
    "no_answer": _("The device did not answer."),
    "no_result": _("The device did not say how it ended."),
    "no_data": _("The device has no data of this time."),
    "execution": _("The device could not do it."),
    "line": _("The connection was lost in the middle."),
    "longest": _("It took too long."),
    "restart": _("The gateway was started anew; whether the device did it is not known."),
    "unknown": _("The gateway does not know the device, or it is disabled."),
    "secret": _("The sealed content cannot be opened: the key file has changed."),
}

STATES = {
    "online": pgettext_lazy("device", "Online"),
    "trouble": pgettext_lazy("device", "Online, with errors"),
    "offline": pgettext_lazy("device", "Offline"),
    "never": pgettext_lazy("device", "Never connected"),
    "unknown": pgettext_lazy("device", "Gateway not running"),
}
STATE_CLASS = {
    "online": "normal",
    "trouble": "watch",
    "offline": "offline",
    "never": "offline",
    "unknown": "offline",
}

GROUPS = (
    (_("Clock"), ("1011", "1012", "1000")),
    (_("Intervals"), ("1061", "1062", "1063", "1064")),
    (_("Data"), ("2061", "2051", "2031", "2041", "2011", "2012", "2021", "2022", "2013", "2052", "2062", "2071")),
    (_("Sampling"), ("3012", "3015", "3022", "3014", "3016", "3017", "3018")),
    (_("Calibration and cleaning"), ("3011", "3024", "3013")),
    (_("Device information"), ("3019", "3020", "3021", "1021", "1031", "1041")),
    (_("Access"), ("1072", "1014")),
)  # fmt: skip

PARAMETERS: dict[str, Any] = {
    "PolId": _("Factor"),
    "BeginTime": pgettext_lazy("moment", "From"),
    "EndTime": pgettext_lazy("moment", "To"),
    "OverTime": _("Time-out (s)"),
    "ReCount": _("Repetitions"),
    "RtdInterval": _("Real-time interval (s)"),
    "MinInterval": _("Minute interval (min)"),
    "CstartTime": _("First sampling at"),
    "Ctime": _("Sampling cycle (h)"),
    "CalibrationType": _("Kind of calibration"),
    "InfoId": _("Information"),
    "Info": _("New value"),
    "SystemTime": _("Device time"),
    "VaseNo": _("Bottle"),
    "Stime": _("Result after (min)"),
    "SN": _("Serial number"),
    "NewPW": _("New password"),
    "PW": _("New password"),
    "ReportTime": _("Reporting time"),
    "ReportTarget": _("Host address"),
    "DataTime": _("Time"),
}

# Of the logs, states and parameters that 3020 and 3021 name (`codes.device_info`), whose names are
# Chinese, the common ones in English too.
INFORMATION = {
    "i11001": _("Log of the instrument"),
    "i12001": _("State of the instrument"),
    "i13001": _("Measuring range"),
    "i13004": _("Digestion temperature (°C)"),
    "i13005": _("Digestion time (min)"),
    "i13007": _("Intercept"),
    "i13008": _("Slope"),
    "i13009": _("Detection limit"),
    "i21001": _("Log of the data logger"),
    "i22001": _("State of the data logger"),
}
_EQUIPMENT = (
    ("1", _("Instrument")),
    ("2", _("Data logger")),
    ("3", _("Auxiliary equipment")),
)


def information(code: str, version: str = "2025") -> str:
    """What a code of device information means; the code itself where nobody knows."""
    if code in INFORMATION:
        return str(INFORMATION[code])
    found = codes.device_info(version).get(code)
    if found is None:
        return code
    return f"{found.zh} ({found.unit})" if found.unit else found.zh


def informations(cn: str, version: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a command can name, by equipment: 3020 reads everything, 3021 sets parameters."""
    rows = [i for i in codes.device_info(version).values() if cn == "3020" or i.kind == "parameter"]
    return [
        (str(label), [(i.code, f"{information(i.code, version)} {i.code}") for i in rows if i.code[1] == digit])
        for digit, label in _EQUIPMENT
    ]  # fmt: skip


def error(kind: str) -> str:
    """The words for a kind of error; the decoder's own where there are none."""
    return str(ERRORS.get(kind, kind))


def command(cn: str, version: str) -> str:
    """The standard's name of a command."""
    found = codes.command(cn, version)
    return cn if found is None else found.en if english() else found.zh


def why(key: str) -> str:
    return str(WHY.get(key, key))


def returned(field: str, code: Any, version: str) -> str:
    """QnRtn or ExeRtn with the standard's words, which are Chinese."""
    text = codes.answer(field, str(code), version)
    return f"{field}={code}" + (f" {text}" if text else "")


def parameter(name: str) -> str:
    return str(PARAMETERS.get(name, name))
