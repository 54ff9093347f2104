"""Innocent causes with the check that settles each, and what to do next. As a duty officer writes."""

from __future__ import annotations

from jingwei.analysis.detection.finding import Words

W = Words
FAULT = (
    W(
        "仪器或数采仪故障、死机，重复上传最后一个值",
        "The analyser or logger hung and repeats its last value",
    ),
    W(
        "调取仪器面板历史、数采仪日志和故障记录，核对同一时段是否也不变",
        "Read the analyser's own history and the logger's log for the same hours",
    ),
)
MAINTENANCE = (
    W(
        "运维、校准或更换部件期间未作标记",
        "Maintenance, calibration or a replaced part that was not marked",
    ),
    W(
        "核对运维台账、校准记录和数据标记",
        "Compare the maintenance log, calibration records and marks",
    ),
)
PROCESS_CHANGE = (
    W(
        "工况、燃料或原料改变，治理设施改造或调整",
        "Another operating mode, fuel or raw material, or a rebuilt or retuned treatment",
    ),
    W(
        "查生产记录、DCS 曲线、燃料化验单和改造备案",
        "Check production records, control-system curves, fuel analyses and notices of changes",
    ),
)
DRIFT = (
    W(
        "分析仪漂移、采样管路渗漏或堵塞",
        "Drift of the analyser, or a leaking or blocked sample line",
    ),
    W(
        "通零气和标准气核查示值误差，做全系统检漏",
        "Challenge with zero and standard gas through the whole system; leak test",
    ),
)
LOGGER = (
    W("数采仪的平均、取整或死区设置", "Averaging, rounding or dead-band settings of the logger"),
    W("查数采仪参数设置及其修改记录", "Read the logger's settings and their change log"),
)
RESEND = (
    W(
        "断网后补传时序错位，把旧数据当新数据上传",
        "A re-send after a broken connection put old data under new times",
    ),
    W(
        "按报文时间和接收时间核对补传记录",
        "Compare the telegrams' data times with their times of arrival",
    ),
)
CALM = (
    W("工况特别平稳，排放本来就少波动", "Exceptionally steady operation"),
    W(
        "查同时段负荷、燃料和风量曲线是否同样平稳",
        "See whether load, fuel and air were as steady in these hours",
    ),
)
CONTROL = (
    W(
        "治理设施（如喷氨）自动控制在限值以下",
        "Automatic control of the treatment holds the value below the limit",
    ),
    W(
        "查喷氨等药剂用量是否随负荷增减",
        "See whether reagent consumption rises and falls with the load",
    ),
)
CLOCK = (
    W(
        "夜间负荷或燃料与白天不同而未进入模型",
        "Night operation that differs in a way the model does not see",
    ),
    W(
        "夜间现场核查生产与治理设施运行，查用电量",
        "Visit at night: production, treatment, electricity",
    ),
)
SENSOR = (
    W("该通道传感器故障或量程改变", "A faulty sensor or changed range of this channel"),
    W("用便携仪比对该通道", "Compare the channel with a portable instrument"),
)
FORMAT = (
    W("上传格式或小数位数改变", "A changed number format or number of decimals"),
    W("查数采仪升级和协议配置记录", "Check upgrades of the logger and its protocol settings"),
)
WORK = (
    W(
        "依规校准后修改参数，未及时备案",
        "A setting changed in a proper calibration that was not reported in time",
    ),
    W(
        "查校准报告、参数备案和仪器操作日志",
        "Check calibration report, registered parameters and the instrument's log",
    ),
)
FALSE_MARK = (
    W("误标或漏改标记", "A wrong mark, or one that was not taken back"),
    W(
        "查标记的提交时间和操作人，与生产记录对照",
        "When and by whom was it marked; compare production records",
    ),
)
GAS = W(
    "下达标准气现场核查：从采样探头通入标准气，看全程示值",
    "Order a standard-gas check: standard gas at the probe, read the whole chain",
)
LOGS = W(
    "调取分析仪与数采仪该时段原始记录和操作日志，与平台数据逐条比对",
    "Get the analyser's and logger's raw records and logs for these hours and compare them with what was reported, row by row",
)
ON_SITE = W(
    "突击现场检查采样管路、旁路阀和治理设施运行，并做比对监测",
    "Unannounced visit: sample line, bypass valves, treatment; comparison measurement",
)
