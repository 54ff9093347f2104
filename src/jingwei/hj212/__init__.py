"""The telemetry protocol HJ 212: bytes to messages and back, versions 2005, 2017 and 2025. Pure."""

from jingwei.hj212.catalogue import (
    Command,
    Content,
    Value,
    Values,
    command,
    content,
    encode,
    reply,
    request,
    upload,
)
from jingwei.hj212.crc import crc16
from jingwei.hj212.decoder import DIALECTS, VERSIONS, decode, decode_segment, opened
from jingwei.hj212.encoder import MAX_SEGMENT, answer, data_cp, frame, segment
from jingwei.hj212.message import Crc, Item, Message
from jingwei.hj212.reader import Reader, Rubbish
from jingwei.hj212.reassembly import Reassembler, Split, completed, split
from jingwei.hj212.values import SHANGHAI, moment, number, qn, seconds

__all__ = [
    "DIALECTS",
    "MAX_SEGMENT",
    "SHANGHAI",
    "VERSIONS",
    "Command",
    "Content",
    "Crc",
    "Item",
    "Message",
    "Reader",
    "Reassembler",
    "Rubbish",
    "Split",
    "Value",
    "Values",
    "answer",
    "command",
    "completed",
    "content",
    "crc16",
    "data_cp",
    "decode",
    "decode_segment",
    "encode",
    "frame",
    "moment",
    "number",
    "opened",
    "qn",
    "reply",
    "request",
    "seconds",
    "segment",
    "split",
    "upload",
]
