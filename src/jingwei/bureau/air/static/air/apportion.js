// Source apportionment: the pie, profiles with their intervals, amounts in time, cycles, directions.

import { createMap } from '../console/map.js';
import { css, draw, ink, narrow, read, tip } from './analysis/draw.js';

const given = read('pictures');
const INKS = ['#12566a', '#b4571b', '#5c4a86', '#2e7d32', '#b3261e', '#7a6a00', '#c2185b', '#4f5a5f', '#1565c0', '#8d6e63', '#00897b', '#ad1457', '#3949ab', '#827717', '#546e7a'];
const RAMP = ['#e4f0f2', '#84bac6', '#1f6f84', '#f2c14e', '#d1495b', '#7e0023'];
const three = (v) => (v === null || v === undefined ? '–' : `${Number(v.toPrecision(3))}`);
const line = () => ({ lineStyle: { color: css('line') } });

function pie() {
  const whole = given.pie.reduce((sum, [, mean]) => sum + mean, 0);
  const data = given.pie.map(([name, value, low, high], k) => ({ name, value, low, high, itemStyle: { color: INKS[k % INKS.length] } }));
  if (given.rest) data.push({ name: given.rest[0], value: given.rest[1], itemStyle: { color: '#cfd6d8' } });
  const told = ({ data: d }) => {
    const share = (100 * d.value) / whole;
    const band = d.low === undefined || d.low === null ? '' : ` (${d.low.toFixed(0)}–${d.high.toFixed(0)} %)`;
    return d.low === undefined ? `${d.name}\n${three(d.value)} ${given.unit}` : `${d.name}\n${three(d.value)} ${given.unit} · ${share.toFixed(0)} %${band}`;
  };
  return {
    tooltip: { ...tip(), formatter: told },
    legend: narrow() ? { bottom: 0, type: 'scroll', textStyle: ink() } : undefined,
    series: [{ type: 'pie', radius: narrow() ? ['30%', '60%'] : ['38%', '72%'], center: ['50%', narrow() ? '42%' : '50%'], data, label: { show: !narrow(), formatter: told, ...ink(), lineHeight: 17 }, minShowLabelAngle: 3 }],
  };
}

function profile(k) {
  const p = given.profiles[k];
  const whisker = (low, high, width) => ({
    type: 'custom', silent: true, z: 5,
    data: low.map((v, j) => [j, v, high[j]]),
    renderItem: (_, api) => {
      const from = api.value(1); const to = api.value(2);
      if (Number.isNaN(from)) return null;
      const [x, y0] = api.coord([api.value(0), from]);
      const [, y1] = api.coord([api.value(0), Number.isNaN(to) ? 100 : Math.min(to, 100)]);
      return { type: 'line', shape: { x1: x, y1: y0, x2: x, y2: y1 }, style: { stroke: css('ink'), lineWidth: width } };
    },
  });
  return {
    grid: { left: 44, right: 8, top: 12, bottom: given.species.length > 16 ? 76 : 36 },
    tooltip: {
      ...tip(), trigger: 'axis',
      formatter: ([{ dataIndex: j }]) => `${given.species[j]}  ${three(p.amount[j])} ${given.unit}\n${three(p.share[j])} % ${given.words.of}\n${given.words.resamples}  ${three(p.low[j])}–${three(p.high[j])} %\n${given.words.displacement}  ${three(p.displaced_low[j])}–${p.displaced_high[j] === null ? '∞' : three(p.displaced_high[j])} %`,
    },
    xAxis: { type: 'category', data: given.species, axisLabel: { ...ink(), fontSize: 11, interval: 0, rotate: given.species.length > 16 || narrow() ? 60 : 0 }, axisTick: { show: false } },
    yAxis: { type: 'value', min: 0, max: 100, axisLabel: { ...ink(), formatter: '{value} %' }, splitLine: line() },
    series: [
      { type: 'bar', data: p.share, itemStyle: { color: INKS[k % INKS.length] }, barCategoryGap: '35%' },
      whisker(p.displaced_low, p.displaced_high, 1),
      whisker(p.low, p.high, 3.5),
    ],
  };
}

function series() {
  const data = given.series.map((values) => {
    const out = [];
    values.forEach((v, i) => {
      if (i && given.times[i] - given.times[i - 1] > given.gap) out.push([given.times[i - 1] + 1, null]);
      out.push([given.times[i], v]);
    });
    return out;
  });
  return {
    color: INKS,
    grid: { left: 52, right: 12, top: 12, bottom: 92 },
    legend: { bottom: 34, type: 'scroll', textStyle: ink() },
    tooltip: { ...tip(), trigger: 'axis', valueFormatter: (v) => `${three(v)} ${given.unit}` },
    dataZoom: [{ type: 'inside' }, { type: 'slider', bottom: 4, height: 20 }],
    xAxis: { type: 'time', axisLabel: { ...ink(), hideOverlap: true } },
    yAxis: { type: 'value', name: given.unit, nameTextStyle: ink(), axisLabel: ink(), splitLine: line() },
    series: data.map((d, k) => ({ type: 'line', name: given.names[k], data: d, showSymbol: false, lineStyle: { width: 1.4 }, sampling: 'lttb', connectNulls: false })),
  };
}

function cycle(key) {
  const rows = given.cycles[key];
  return {
    color: INKS,
    grid: { left: 48, right: 8, top: 12, bottom: 62 },
    legend: { bottom: 0, type: 'scroll', textStyle: ink() },
    tooltip: {
      ...tip(), trigger: 'axis',
      formatter: (items) => [
        `${items[0].name} · ${rows[0].count[items[0].dataIndex]} ${given.words.samples}`,
        ...items.map((i) => `${i.seriesName}  ${three(i.value)} (${three(rows[i.seriesIndex].low[i.dataIndex])}–${three(rows[i.seriesIndex].high[i.dataIndex])})`),
      ].join('\n'),
    },
    xAxis: { type: 'category', data: given.labels[key], axisLabel: ink(), axisTick: { show: false } },
    yAxis: { type: 'value', axisLabel: ink(), splitLine: line() },
    series: rows.map((r, k) => ({ type: 'line', name: given.names[k], data: r.mean, symbolSize: 5 })),
  };
}

function rose(k) {
  const { cpf, hours } = given.sectors[k];
  const names = given.bearings ?? cpf.map((_, i) => `${(360 / cpf.length) * i}°`);
  return {
    tooltip: { ...tip(), trigger: 'axis', formatter: ([i]) => `${names[i.dataIndex]}  CPF ${three(cpf[i.dataIndex])}\n${hours[i.dataIndex]} h` },
    angleAxis: { type: 'category', data: names, startAngle: 90 + 180 / names.length, axisTick: { show: false }, axisLabel: { ...ink(), fontSize: 11 } },
    radiusAxis: { min: 0, max: Math.max(0.5, ...cpf.map((v) => v ?? 0)), splitNumber: 2, axisLabel: { ...ink(), fontSize: 10 }, z: 10, splitLine: line() },
    polar: { radius: '68%' },
    series: [{ type: 'bar', coordinateSystem: 'polar', data: cpf, itemStyle: { color: INKS[k % INKS.length] }, barCategoryGap: '10%' }],
  };
}

draw(document.getElementById('pie'), given.words.pie, pie);
draw(document.getElementById('series'), given.words.series, series, 'canvas');
document.querySelectorAll('[data-profile]').forEach((e) => {
  const k = Number(e.dataset.profile);
  draw(e, `${given.words.profile}: ${given.names[k]}`, () => profile(k));
});
document.querySelectorAll('[data-cycle]').forEach((e) => draw(e, e.previousElementSibling.textContent, () => cycle(e.dataset.cycle)));
document.querySelectorAll('[data-sectors]').forEach((e) => {
  const k = Number(e.dataset.sectors);
  draw(e, `CPF: ${given.names[k]}`, () => rose(k));
});

const place = document.getElementById('place');
const choice = document.getElementById('map-factor');
let map;
let chosen = 0;

function show() {
  const most = Math.max(1e-9, ...given.cells.map((c) => c[5][chosen] ?? 0));
  document.getElementById('map-legend').replaceChildren(...RAMP.map((fill, k) => {
    const item = document.createElement('span');
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('viewBox', '0 0 12 12');
    const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
    for (const [name, value] of Object.entries({ width: 12, height: 12, rx: 3, fill })) rect.setAttribute(name, value);
    svg.append(rect);
    item.append(svg, `${Number(((most * k) / (RAMP.length - 1)).toPrecision(2))}`);
    return item;
  }));
  if (!map) return;
  map.getSource('cells').setData({
    type: 'FeatureCollection',
    features: given.cells.map(([w, s, e, n, passes, values]) => ({
      type: 'Feature', properties: { pscf: values[chosen] ?? 0, hours: passes / given.per_hour },
      geometry: { type: 'Polygon', coordinates: [[[w, s], [e, s], [e, n], [w, n], [w, s]]] },
    })),
  });
  map.setPaintProperty('cells', 'fill-color', ['interpolate', ['linear'], ['get', 'pscf'], ...RAMP.flatMap((inkOf, k) => [(most * k) / (RAMP.length - 1), inkOf])]);
}

if (place) {
  choice.addEventListener('change', () => { chosen = Number(choice.value); show(); });
  show();
  ({ map } = await createMap(place));
  if (map) {
    map.addSource('cells', { type: 'geojson', data: { type: 'FeatureCollection', features: [] } });
    map.addLayer({ id: 'cells', type: 'fill', source: 'cells', paint: { 'fill-color': RAMP[0], 'fill-opacity': 0.62 } });
    const box = [[180, 90], [-180, -90]];
    for (const [w, s, e, n] of given.cells) {
      box[0] = [Math.min(box[0][0], w), Math.min(box[0][1], s)];
      box[1] = [Math.max(box[1][0], e), Math.max(box[1][1], n)];
    }
    map.fitBounds(box, { padding: 24, maxZoom: 10, animate: false });
    map.on('mousemove', 'cells', ({ features: [cell] }) => {
      map.getCanvas().title = `PSCF ${cell.properties.pscf} · ${cell.properties.hours} ${given.words.hours}`;
    });
    show();
  }
}
