// The answer of a tracing: series, ways of the air and sources on the map, roses.

import { createMap } from '../console/map.js';
import { lineChart } from '../console/chart.js';
import * as echarts from '../vendor/echarts/echarts.mjs';

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const SHADES = ['#cfe3e8', '#8fbfca', '#4f97a8', '#1f6f84', '#0b4656'];
const INK = { color: '#4a5552', fontSize: 12 };

lineChart(document.getElementById('chart'), read('series'));

const wind = read('wind');
const rose = echarts.init(document.getElementById('rose'), null, { renderer: 'svg' });
rose.setOption({
  animation: false,
  aria: { enabled: true, label: { description: wind.words.hours } },
  title: { text: wind.words.hours, left: 'center', textStyle: { ...INK, fontWeight: 600 } },
  color: SHADES,
  legend: { bottom: 0, textStyle: INK, itemWidth: 12, itemHeight: 12 },
  angleAxis: { type: 'category', data: wind.bearings, startAngle: 101.25, axisTick: { show: false }, axisLabel: INK },
  radiusAxis: { minInterval: 1, axisLabel: INK, z: 10 },
  polar: { radius: '58%', center: ['50%', '52%'] },
  series: wind.classes.map((c) => ({ type: 'bar', coordinateSystem: 'polar', stack: 'hours', name: c.name, data: c.hours, barCategoryGap: '8%' })),
});
const bars = echarts.init(document.getElementById('bars'), null, { renderer: 'svg' });
bars.setOption({
  animation: false,
  aria: { enabled: true, label: { description: wind.words.increment } },
  title: { text: wind.words.increment, left: 'center', textStyle: { ...INK, fontWeight: 600 } },
  color: ['#99600f'],
  grid: { left: 44, right: 12, top: 40, bottom: 40 },
  xAxis: { type: 'category', data: wind.bearings, axisLabel: { ...INK, interval: 1 } },
  yAxis: { type: 'value', axisLabel: INK },
  series: [{ type: 'bar', data: wind.increment }],
});
window.addEventListener('resize', () => { rose.resize(); bars.resize(); });

const rows = document.getElementById('wind-rows');
wind.bearings.forEach((name, i) => {
  const hours = wind.classes.map((c) => c.hours[i]);
  if (!hours.some(Boolean)) return;
  const row = rows.insertRow();
  const head = document.createElement('th');
  head.scope = 'row';
  head.textContent = name;
  row.append(head);
  for (const value of [...hours, wind.increment[i] ?? '–']) {
    const cell = row.insertCell();
    cell.className = 'num';
    cell.textContent = value || (value === 0 ? '' : value);
  }
});

const shapes = read('shapes');
const { map } = await createMap(document.getElementById('place'));
if (map) {
  map.addSource('trace', { type: 'geojson', data: shapes });
  map.addLayer({ id: 'ways', type: 'line', source: 'trace', filter: ['==', ['get', 'what'], 'way'], paint: { 'line-color': '#12566a', 'line-width': 1.6, 'line-opacity': 0.7 } });
  map.addLayer({
    id: 'traced', type: 'circle', source: 'trace', filter: ['==', ['get', 'what'], 'source'],
    paint: {
      'circle-radius': ['get', 'size'], 'circle-color': ['case', ['get', 'suspect'], '#b3261e', '#5c4a86'],
      'circle-opacity': 0.55, 'circle-stroke-color': '#fff', 'circle-stroke-width': 1.5,
    },
  });
  map.addLayer({
    id: 'traced-names', type: 'symbol', source: 'trace', filter: ['==', ['get', 'what'], 'source'],
    layout: { 'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, 1.3], 'text-anchor': 'top', 'text-optional': true, 'text-font': ['sans-serif'] },
    paint: { 'text-color': '#1f2a27', 'text-halo-color': '#fff', 'text-halo-width': 1.2 },
  });
  const box = [[180, 90], [-180, -90]];
  const widen = ([x, y]) => {
    box[0] = [Math.min(box[0][0], x), Math.min(box[0][1], y)];
    box[1] = [Math.max(box[1][0], x), Math.max(box[1][1], y)];
  };
  widen([Number(document.getElementById('place').dataset.longitude), Number(document.getElementById('place').dataset.latitude)]);
  for (const f of shapes.features) {
    if (f.properties.what === 'source') widen(f.geometry.coordinates);
  }
  map.fitBounds(box, { padding: 50, maxZoom: 12, animate: false });
}
