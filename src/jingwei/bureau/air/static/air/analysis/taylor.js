// Taylor diagram: correlation as angle, standard deviation as distance, both over the measured one.

import { INK, css, draw, ink, narrow, read, tip } from './draw.js';

const given = read('pictures');
const { words } = given;
const SHAPES = ['circle', 'triangle', 'rect', 'diamond'];
const CORRELATIONS = [0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1];

const at = (radius, r) => [radius * r, radius * Math.sqrt(Math.max(0, 1 - r * r))];

function diagram(element) {
  const both = given.marks.some((m) => m.r < 0);
  const top = Math.max(1.25, Math.ceil(Math.max(...given.marks.map((m) => m.ratio)) * 1.08 * 4) / 4);
  const ring = top > 3 ? 1 : 0.5;
  const space = { left: 44, right: 44, top: 34, bottom: 84 };
  const width = element.clientWidth - space.left - space.right;
  const height = element.clientHeight - space.top - space.bottom;
  const unit = Math.min(width / (both ? 2 : 1), height) / top;
  const wide = unit * top * (both ? 2 : 1);
  const left = space.left + (width - wide) / 2;
  const lines = [];
  const line = (data, style) => lines.push({
    type: 'line', silent: true, symbol: 'none', animation: false, data, tooltip: { show: false },
    lineStyle: { width: 1, color: css('line-strong'), ...style }, z: 1,
  });
  const arc = (radius, from, to, x = 0) => Array.from({ length: 73 }, (_, k) => {
    const angle = from + ((to - from) * k) / 72;
    return [x + radius * Math.cos(angle), radius * Math.sin(angle)];
  });
  const end = both ? Math.PI : Math.PI / 2;
  for (let s = ring; s < top - 0.01; s += ring) line(arc(s, 0, end), s === 1 ? { type: 'dashed', color: css('ink-3') } : {});
  line(arc(top, 0, end), { color: css('ink-3') });
  for (let d = ring; d < (both ? 2 : 1) * top + 1; d += ring) {
    const inside = arc(d, 0, Math.PI, 1).map(([x, y]) => (Math.hypot(x, y) <= top && (both || x >= 0) ? [x, y] : [null, null]));
    line(inside, { type: 'dotted', color: '#99600f', opacity: 0.75 });
  }
  const angles = [...CORRELATIONS, ...(both ? CORRELATIONS.slice(1).map((r) => -r) : [])];
  angles.forEach((r) => line([[0, 0], at(top, r)], { opacity: 0.6 }));
  const label = (data, more) => ({
    type: 'scatter', silent: true, symbolSize: 0, clip: false, data, z: 2, tooltip: { show: false },
    label: { show: true, formatter: ({ data: d }) => d.name, ...ink(), ...more },
  });
  const name = (r) => `${r}`.replace('-', '−');
  const named = narrow() ? angles.filter((r) => ![0.95, -0.95].includes(r)) : angles;
  return {
    legend: {
      bottom: 0, data: given.kinds.map(([, word]) => word), selectedMode: false, textStyle: ink(), itemWidth: 12, itemHeight: 12,
    },
    grid: { left, top: space.top + (height - unit * top), width: wide, height: unit * top },
    tooltip: {
      ...tip(),
      formatter: ({ data }) => (data.mark ? [
        `${data.mark.name}  ${data.kind}`, `${words.correlation}  ${data.mark.r}`, `${words.deviation}  ${data.mark.ratio}`,
        `${words.rms}  ${data.mark.rms}`, `${words.pairs}  ${data.mark.pairs}`,
      ].join('\n') : words.measured),
    },
    xAxis: {
      type: 'value', min: both ? -top : 0, max: top, interval: ring, name: words.deviation, nameLocation: 'middle', nameGap: 28,
      nameTextStyle: ink(), axisLabel: { ...ink(), formatter: (v) => `${Math.abs(v)}` }, splitLine: { show: false },
    },
    yAxis: { type: 'value', min: 0, max: top, show: false },
    series: [
      ...lines,
      label(named.map((r) => ({ value: at(top * 1.045, r), name: name(r) }))),
      label([{ value: at(top * 1.12, 0.7), name: words.correlation }], { rotate: -45, fontWeight: 600 }),
      {
        type: 'scatter', data: [{ value: [1, 0] }], symbol: 'circle', symbolSize: 13, clip: false, z: 4,
        itemStyle: { color: '#fff', borderColor: css('ink'), borderWidth: 3 },
        label: { show: true, position: 'top', formatter: words.measured, ...ink(), color: css('ink'), fontWeight: 600 },
      },
      ...given.kinds.map(([kind, word], k) => ({
        type: 'scatter', name: word, symbol: SHAPES[k], symbolSize: 12, clip: false, z: 5,
        itemStyle: { color: INK[k], borderColor: '#fff', borderWidth: 1 },
        data: given.marks.filter((m) => m.kind === kind).map((m) => ({ value: at(m.ratio, m.r), mark: m, kind: word })),
        label: { show: true, position: 'right', formatter: ({ data }) => data.mark.name, ...ink(), color: css('ink-2') },
        labelLayout: { hideOverlap: true },
      })),
    ],
  };
}

const element = document.getElementById('taylor');
draw(element, given.label, () => diagram(element));
