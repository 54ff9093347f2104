// The forecast of one station with its band, and its errors by lead.

import * as echarts from '../vendor/echarts/echarts.mjs';
import { text, wall } from '../console/time.js';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const ink = () => ({ color: css('ink-2'), fontFamily: css('font'), fontSize: 12 });
const narrow = window.innerWidth < 640;
const tooltip = () => ({
  trigger: 'axis', renderMode: 'richText', confine: true, padding: [8, 12], backgroundColor: '#fff',
  borderColor: css('line-strong'), borderWidth: 1,
  textStyle: { color: css('ink'), fontSize: 12, fontFamily: css('font'), lineHeight: 18 },
});

function band(element) {
  const given = read('forecast');
  const { words } = given;
  const times = given.times.map(wall);
  const q = (k) => given.q.map((row, i) => [times[i], row[k]]);
  const between = (low, high) => given.q.map((row, i) => [times[i], row[high] - row[low]]);
  const area = (name, low, high, opacity, stack) => [
    { name: `${name}-`, type: 'line', stack, data: q(low), symbol: 'none', lineStyle: { opacity: 0 }, silent: true },
    { name, type: 'line', stack, data: between(low, high), symbol: 'none', lineStyle: { opacity: 0 }, areaStyle: { color: '#12566a', opacity }, itemStyle: { color: '#12566a', opacity: opacity + 0.1 }, silent: true },
  ];
  const top = Math.max(...given.q.map((row) => row[6]), ...given.measured.map((m) => m[1]));
  const bounds = given.bounds.filter((b) => b.value < top * 1.05);
  const chart = echarts.init(element);
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', given.label);
  chart.setOption({
    useUTC: true, animation: false, textStyle: ink(),
    grid: { left: 12, right: 16, top: narrow ? 72 : 44, bottom: 28, containLabel: true },
    legend: { top: 0, right: 8, itemWidth: 16, itemHeight: 8, textStyle: ink(), data: [words.measured, words.median, words.half, words.wide, ...(given.damped ? [words.damped] : [])] },
    tooltip: {
      ...tooltip(),
      formatter: (items) => {
        const at = items[0].axisValue;
        const k = times.indexOf(at);
        const seen = given.measured.find((m) => wall(m[0]) === at);
        const lines = [text(k >= 0 ? given.times[k] : seen[0])];
        if (seen) lines.push(`${words.measured}  ${seen[1]} ${given.unit}`);
        if (k >= 0) {
          lines.push(`${words.median}  ${given.q[k][3]} ${given.unit}`);
          lines.push(`${words.wide}  ${given.q[k][0]}–${given.q[k][6]}`);
        }
        return lines.join('\n');
      },
    },
    xAxis: { type: 'time', axisTick: { show: false }, axisLine: { lineStyle: { color: css('line-strong') } }, splitNumber: narrow ? 3 : 8, axisLabel: { ...ink(), hideOverlap: true, formatter: { day: '{MM}-{dd}', hour: '{HH}:{mm}', none: '{MM}-{dd} {HH}:{mm}' } } },
    yAxis: { type: 'value', name: given.unit || 'AQI', nameTextStyle: { ...ink(), align: 'left' }, axisLabel: ink(), splitLine: { lineStyle: { color: css('line') } } },
    series: [
      ...area(words.wide, 0, 6, 0.13, 'wide'),
      ...area(words.half, 2, 4, 0.24, 'half'),
      { name: words.median, type: 'line', data: q(3), symbol: 'none', lineStyle: { color: '#12566a', width: 2 }, itemStyle: { color: '#12566a' } },
      ...(given.damped ? [{ name: words.damped, type: 'line', data: given.damped.map((v, i) => [times[i], v]), symbol: 'none', lineStyle: { color: '#5c4a86', width: 1.4, type: 'dashed' }, itemStyle: { color: '#5c4a86' } }] : []),
      {
        name: words.measured, type: 'line', symbol: 'none', lineStyle: { color: '#99600f', width: 1.8 }, itemStyle: { color: '#99600f' },
        data: given.measured.map(([t, v]) => [wall(t), v]),
        markLine: {
          silent: true, symbol: 'none', label: { ...ink(), position: 'insideEndTop', fontSize: 11, formatter: (p) => p.name },
          data: [
            { xAxis: wall(given.start), name: words.now, lineStyle: { color: css('ink-3'), type: 'solid', width: 1 } },
            ...bounds.map((b) => ({ yAxis: b.value, name: b.name, label: { position: 'insideStartTop' }, lineStyle: { color: css('ink-3'), type: [2, 4], width: 1 } })),
          ],
        },
      },
    ],
  });
  new ResizeObserver(() => chart.resize()).observe(element);
}

function leads(element) {
  const given = read('errors');
  const chart = echarts.init(element);
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', given.label);
  const colours = ['#12566a', '#4f5a5f', '#5c4a86'];
  chart.setOption({
    animation: false, textStyle: ink(),
    grid: { left: 12, right: 16, top: 56, bottom: 34, containLabel: true },
    legend: { top: 0, itemWidth: 16, itemHeight: 3, icon: 'roundRect', textStyle: ink() },
    tooltip: tooltip(),
    xAxis: { type: 'category', data: given.leads.map((_, i) => i + 1), name: given.axis, nameLocation: 'middle', nameGap: 24, nameTextStyle: ink(), axisTick: { show: false }, axisLabel: { ...ink(), interval: 5 } },
    yAxis: { type: 'value', name: `RMSE ${given.unit}`, nameTextStyle: { ...ink(), align: 'left' }, axisLabel: ink(), splitLine: { lineStyle: { color: css('line') } } },
    series: given.words.map((name, k) => ({ name, type: 'line', symbol: 'none', data: given.leads.map((row) => row[k]), lineStyle: { color: colours[k], width: k ? 1.4 : 2.2, type: k === 2 ? 'dashed' : 'solid' }, itemStyle: { color: colours[k] } })),
  });
  new ResizeObserver(() => chart.resize()).observe(element);
}

band(document.getElementById('band'));
const errors = document.getElementById('leads');
if (errors) leads(errors);
