// Wind rose, pollution rose, polar plots.

import { SHADES, css, draw, ink, narrow, read, tip } from './draw.js';

const pictures = read('pictures');
const RAMP = ['#e4f0f2', '#84bac6', '#1f6f84', '#f2c14e', '#d1495b', '#7e0023'];

/** Stacked shares by direction; the sector around north stands at the top. */
function rose(given) {
  const n = given.sectors.length;
  const from = Math.max(0, SHADES.length - given.classes.length);
  return {
    color: SHADES.slice(from),
    legend: { bottom: 0, type: 'scroll', itemWidth: 12, itemHeight: 12, textStyle: ink() },
    tooltip: { ...tip(), trigger: 'axis', formatter: (items) => [given.sectors[items[0].dataIndex], ...items.map((i) => `${i.seriesName}  ${i.value} %`)].join('\n') },
    angleAxis: { type: 'category', data: given.sectors, startAngle: 90 + 180 / n, axisTick: { show: false }, axisLabel: ink(), splitLine: { show: true, lineStyle: { color: css('line') } } },
    radiusAxis: { axisLabel: { ...ink(), formatter: '{value} %' }, z: 10, splitLine: { lineStyle: { color: css('line') } } },
    polar: { radius: narrow() ? '58%' : '64%', center: ['50%', '46%'] },
    series: given.classes.map((c) => ({ type: 'bar', coordinateSystem: 'polar', stack: 'share', name: c.name, data: c.share, barCategoryGap: '8%', itemStyle: { borderColor: css('line-strong'), borderWidth: 0.5 } })),
  };
}

/** Cells over the wind's east and north parts, with rings of speed. */
function polar(given, column, element) {
  const side = Math.min(element.clientWidth - 72, element.clientHeight - 64);
  const left = (element.clientWidth - side) / 2;
  const rings = [];
  const gap = given.far > 8 ? 4 : given.far > 3 ? 2 : 1;
  for (let r = gap; r < given.far; r += gap) rings.push(r);
  const shown = given.cells.map((c) => c[column]);
  const axis = { type: 'value', min: -given.far - given.step, max: given.far + given.step, show: false };
  return {
    grid: { left, top: 24, width: side, height: side },
    tooltip: {
      ...tip(),
      formatter: ({ value, seriesIndex }) => {
        if (seriesIndex) return '';
        const from = Math.round((Math.atan2(value[0], value[1]) * 180 / Math.PI + 360) % 360);
        return `${from}°  ${Math.hypot(value[0], value[1]).toFixed(1)} m/s\n${value[2]} (${value[3]}–${value[4]}) ${given.unit}`;
      },
    },
    visualMap: {
      type: 'continuous', dimension: column, min: 0, max: given.top ?? Math.max(...given.cells.map((c) => c[2])), seriesIndex: 0,
      inRange: { color: RAMP }, orient: 'vertical', right: 0, top: 'middle', itemHeight: Math.min(180, side * 0.7), itemWidth: 12,
      precision: given.top ? 2 : 0, calculable: false, text: [given.top ? '1' : `${Number(Math.max(...shown).toPrecision(3))}`, '0'], textStyle: ink(),
    },
    xAxis: axis, yAxis: axis,
    series: [
      {
        type: 'custom', data: given.cells,
        renderItem: (_, api) => {
          const [x, y] = api.coord([api.value(0), api.value(1)]);
          const [w, h] = api.size([given.step, given.step]);
          return { type: 'rect', shape: { x: x - w / 2, y: y - h / 2, width: w + 0.6, height: h + 0.6 }, style: { fill: api.visual('color') } };
        },
      },
      {
        type: 'custom', silent: true, data: [...rings, given.far].map((r) => [r]),
        renderItem: (_, api) => {
          const [cx, cy] = api.coord([0, 0]);
          const r = api.size([api.value(0), 0])[0];
          return { type: 'group', children: [
            { type: 'circle', shape: { cx, cy, r }, style: { fill: null, stroke: css('ink-3'), lineWidth: 0.7 } },
            { type: 'text', style: { x: cx + 3, y: cy - r + 2, text: rings.includes(api.value(0)) ? `${api.value(0)} m/s` : '', fill: css('ink'), fontSize: 11 } },
          ] };
        },
      },
      {
        type: 'custom', silent: true, data: [[0, 1], [1, 0], [0, -1], [-1, 0]],
        renderItem: ({ dataIndex }, api) => {
          const [x, y] = api.coord([api.value(0) * given.far, api.value(1) * given.far]);
          return { type: 'text', style: {
            x: x + api.value(0) * 6, y: y - api.value(1) * 6, text: pictures.quarters[dataIndex], fill: css('ink'), fontSize: 12, fontWeight: 600,
            align: ['center', 'left', 'center', 'right'][dataIndex], verticalAlign: ['bottom', 'middle', 'top', 'middle'][dataIndex],
          } };
        },
      },
    ],
  };
}

document.querySelectorAll('[data-rose]').forEach((element) => {
  const given = pictures.roses[Number(element.dataset.rose)];
  draw(element, given.title, () => rose(given));
});

let column = 2;
const drawn = [...document.querySelectorAll('[data-polar]')].map((element) => {
  const given = pictures.polars[Number(element.dataset.polar)];
  return draw(element, given.title, () => polar(given, column, element), 'canvas');
});
const buttons = [...document.querySelectorAll('[data-show]')];
buttons.forEach((button) => button.addEventListener('click', () => {
  column = Number(button.dataset.show);
  buttons.forEach((b) => b.setAttribute('aria-pressed', String(b === button)));
  drawn.forEach((d) => d.show());
}));
