"""`jingwei …`: every command of the system. Each package attaches its own (`commands.attach`)."""

from __future__ import annotations

import importlib
import inspect
import os

import typer

app = typer.Typer(
    name="jingwei",
    help="Jingwei 泾渭: from what monitors report about pollution to supervision that anyone can verify."
    "\n\n从污染源监测数据到人人可核验的监管。",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order in which `jingwei --help` lists them.
PACKAGES = [
    "service",
    "demo",
    "hj212",
    "telemetry",
    "standards",
    "analysis",
    "analysis.air",
    "bureau.evidencelog",
    "bureau.findings",
    "bureau.monitoring",
    "bureau.air",
]

# What the lists of commands (`jingwei --help`, `jingwei evidence --help`) say of each where the office
# speaks Chinese (JINGWEI_LANGUAGE); the help of the command itself goes on in English.
CHINESE = {
    "run": "在前台运行整个系统：数据网关、后台任务、网站。",
    "prepare": "建立目录和数据表，收集静态文件；演示模式下载入演示城市。",
    "web": "提供网站（Granian）；对外时请在前面放 TLS 代理。",
    "worker": "把报文存入数据湖，判定、计时、写证据日志。",
    "fsck": "核对报文日志、数据湖、数据库和证据日志是否一致。",
    "manage": "执行 Django 管理命令，例如 jingwei manage createsuperuser。",
    "replay": "把实测序列当作仪器播放：以真实 HJ 212 报文经 TCP 发给网关。",
    "decode": "把 HJ 212 报文解成 JSON，每行一个。",
    "gateway": "接收 TCP 报文（HJ 212），写入报文日志。",
    "telegrams": "按原样列出收到的报文，每行一个 JSON，最早的在前。",
    "import": "把表格中的监测数据写入报文日志，要么全部写入，要么全不写入。",
    "mqtt": "从 MQTT 服务器接收监测数据（JSON、SensorThings）。",
    "forward": "把收到的数据转发给其他平台（HJ 212、MQTT），直到送达。",
    "aqi": "补上空气质量指数、级别和首要污染物（HJ 633）。",
    "water-class": "补上 GB 3838-2002 水质类别（jw_class）。",
    "dmr": "从美国 EPA 排放监测报告中找出超标。",
    "detect": "找出一个排放口数据中的矛盾。",
    "witness": "担任证据日志的见证人（C2SP tlog-witness）。",
    "air-year": "按 HJ 663 评价各站和全市的全年环境空气质量。",
    "trace-files": "用文件排查测值背后的可能污染源；计算方法与 trace 相同，风取全市平均。",
    "monitor": "对数据湖中的监测数据运行判定规则和数据矛盾检测。",
    "trace": "排查空气站测值背后的可能污染源，列出依据和疑点。",
    "monitor detect": "立即执行工作进程每日一次的检测，保存线索和证据。",
    "monitor fit": "按最近的核查结论重新学习后检测，其余同 detect。",
    "monitor year": "重新判定全年小时值和日均值，与现行判定逐一比对；不作任何修改。",
    "air": "城市空气：预报、气象、卫星、热点网格。",
    "air forecast": "预报各空气站未来 48 小时；尚未训练时先训练。",
    "air satellite": "导入全市上空的卫星 NO₂、HCHO 柱浓度（NetCDF），据此重算热点网格。",
    "air dispersion": "模拟已登记排放口的逐时扩散：浓度场、站点、贡献。",
    "air hotgrid": "找出反复偏高的 3 km 网格：卫星、站点、扩散残差。",
    "air weather": "提供城市气象预报，下一次空气质量预报即予采用。",
    "demo": "演示城市。",
    "demo load": "载入演示城市：机构、企业、30 天报文、判定和案件。",
    "journal": "按原样收存的报文。",
    "journal prune": "删除超过保存期限的报文；期限短于法定年限的不予执行。",
    "lake": "监测数据存储。",
    "lake roll-up": "按小时和日汇总已关闭的日期，供页面快速读取。",
    "lake rebuild": "由报文日志重新生成指定日的数据，每个分区输出一个 JSON 对象。",
    "validate": "用实测数据检验各分析方法；最后一行是 JSON 格式的结果。",
    "validate prairie-grass": "草原计划（Prairie Grass）弧线最大浓度，分有无湍流实测两种。",
    "validate chilbolton": "由光路测值反推甲烷释放的位置和速率；不给文件时用自带的两次试验。",
    "validate ginninderra": "由四组仪器反推 Ginninderra 甲烷释放速率。",
    "validate city": "虚拟城市 3000 家企业中找出 15 家超排企业，风和测值带误差。",
    "validate puffs": "网格烟团与精确烟团、连续排放的比较，质量平衡。",
    "validate forecast": "各站 48 小时预报与持续性预报、衰减持续性预报的比较。",
    "validate pmf": "正定矩阵因子分解：不同因子数的 Q 值和计算用时。",
    "evidence": "证据日志：只增不改的默克尔日志，人人可核验。",
    "evidence check": "由磁盘上的条目重算树根，并与全部检查点比对。",
    "evidence check-log": "核对任何一个 C2SP tlog-tiles 日志：由条目文件重建其树。",
    "evidence export": "把一个案件的全部材料导出为证据包，任何人可离线核验。",
    "evidence verify": "逐项说明证据包证明了什么；不需要网络和数据库。",
    "evidence check-draw": "重算随机抽取结果，核验所用 drand 轮次的签名。",
    "evidence sm2-key": "生成第二把签名密钥（SM2），此后每个检查点带两个签名。",
    "evidence rotate": "更换日志的签名密钥（有 SM2 密钥的一并更换），日志继续。",
    "identities": "受保护的举报人身份信息。",
    "identities rotate": "更换主密钥，重新加密每份身份信息的密钥，销毁旧主密钥。",
}


def speak(language: str) -> None:
    """Let the lists of commands speak the language of the office."""
    if not language.startswith("zh"):
        return
    _speak(app, "")


def _speak(within: typer.Typer, prefix: str) -> None:
    for command in within.registered_commands:
        if command.callback is None:
            continue
        name = prefix + (command.name or command.callback.__name__).replace("_", "-")
        if name in CHINESE:
            said = command.help or inspect.getdoc(command.callback) or ""
            command.help = f"{CHINESE[name]}\n\n{said}"
    for group in within.registered_groups:
        inner = group.typer_instance
        name = next((n for n in (group.name, inner and inner.info.name) if isinstance(n, str)), "")
        if inner is not None:
            _speak(inner, f"{prefix}{name} ")
        if prefix + name in CHINESE:
            group.help = CHINESE[prefix + name]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "jingwei.config.settings")
    for name in PACKAGES:
        importlib.import_module(f"jingwei.{name}.commands").attach(app)
    speak(os.environ.get("JINGWEI_LANGUAGE") or "zh-hans")
    app()


if __name__ == "__main__":
    main()
