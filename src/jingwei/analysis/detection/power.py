"""What the contradictions of power are called, and what is said of them (`treatment`)."""

from __future__ import annotations

from jingwei.analysis.detection.finding import Words

NAMES = {
    "power_off": Words("生产用电而治理设施不用电", "Treatment off while producing"),
    "power_late": Words("治理设施晚启动", "Treatment started late"),
    "power_early": Words("治理设施早停", "Treatment stopped early"),
    "power_weak": Words("治理设施用电偏低", "Treatment on too little power"),
    "power_sum": Words("分项用电大于总用电", "Parts above the whole"),
    "power_hidden": Words("总用电显示隐蔽生产", "Hidden production by total power"),
}
TOLD = {
    "power_off": Words(
        "生产设施在用电，治理设施没有用电，共 {hours:.4g} 小时",
        "production takes power and the treatment does not, for {hours:.4g} h",
    ),
    "power_late": Words(
        "治理设施比生产设施晚启动 {hours:.4g} 小时",
        "the treatment started {hours:.4g} h after production",
    ),
    "power_early": Words(
        "治理设施比生产设施早停 {hours:.4g} 小时",
        "the treatment stopped {hours:.4g} h before production",
    ),
    "power_weak": Words(
        "治理设施用电不到同等生产水平通常值的一半，共 {hours:.4g} 小时",
        "the treatment takes less than half of its usual power at this production, for {hours:.4g} h",
    ),
    "power_sum": Words(
        "生产与治理用电之和 {parts:.4g} 大于总用电 {total:.4g}，共 {hours:.4g} 小时",
        "production and treatment together read {parts:.4g}, the whole {total:.4g}, for {hours:.4g} h",
    ),
    "power_hidden": Words(
        "生产用电显示停产，总用电 {total:.4g} 却明显高于分项之和 {parts:.4g}，共 {hours:.4g} 小时",
        "the production meter reads off while the whole reads {total:.4g} against {parts:.4g} of the parts, for {hours:.4g} h",
    ),
}
FORMULA = {
    "power_off": "production > 10 % and treatment <= 10 % of their usual running power",
    "power_late": "production began, treatment began later than the grace",
    "power_early": "treatment ended earlier than production by more than the grace",
    "power_weak": "treatment < 50 % of min(median(treatment / production) * production, usual treatment)",
    "power_sum": "production + treatment > 105 % of the total",
    "power_hidden": "production off and total - parts > max(2 idle, idle + 50 % of usual production)",
}
EMPTY_RUN = (
    Words(
        "生产设施空转、预热或检修，没有产生污染",
        "Production idled, warmed up or was under repair and emitted nothing",
    ),
    Words("查生产记录、投料和产量", "Production records, feed and output"),
)
REWIRED = (
    Words(
        "用电监控点接线改动或设备换到别的回路",
        "A meter was rewired or a machine moved to another circuit",
    ),
    Words("对照接线图现场核对各监控点", "Compare the meters with the wiring plan on site"),
)
