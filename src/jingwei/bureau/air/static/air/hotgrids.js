// Hot cells on the map; a cell in the table is shown there.

import { createMap } from '../console/map.js';

const given = JSON.parse(document.getElementById('hot-shapes').textContent);
const feature = (ring, properties) => ({ type: 'Feature', geometry: { type: 'Polygon', coordinates: [ring] }, properties });
const shapes = {
  type: 'FeatureCollection',
  features: given.cells.map(([row, column, strength, name]) => {
    const [x, y] = [given.west + column * given.dx, given.south + row * given.dy];
    const [e, n] = [x + given.dx, y + given.dy];
    return feature([[x, y], [e, y], [e, n], [x, n], [x, y]], { strength, hot: Boolean(name), ...(name && { name }) });
  }).concat(given.fine.map(([ring, strength, name, hot]) => feature(ring, { fine: true, hot, strength, place: name }))),
};
const box = document.getElementById('hot-map');
const { map } = await createMap(box);
if (map) {
  const plain = ['!', ['has', 'fine']];
  map.addSource('cells', { type: 'geojson', data: shapes });
  map.addLayer({
    id: 'cells', type: 'fill', source: 'cells', filter: plain,
    paint: {
      'fill-color': ['interpolate', ['linear'], ['coalesce', ['get', 'strength'], 0], 0, '#fff', 0.5, '#fbe6c0', 1.5, '#e39a3b', 3, '#a34d10'],
      'fill-opacity': ['interpolate', ['linear'], ['coalesce', ['get', 'strength'], 0], 0, 0, 0.3, 0.55, 3, 0.75],
    },
  });
  map.addLayer({ id: 'hot', type: 'line', source: 'cells', filter: ['all', plain, ['get', 'hot']], paint: { 'line-color': '#8c1d18', 'line-width': 2 } });
  map.addLayer({ id: 'chosen', type: 'line', source: 'cells', filter: ['==', ['get', 'name'], ''], paint: { 'line-color': '#12566a', 'line-width': 4 } });
  map.addLayer({
    id: 'fine-fill', type: 'fill', source: 'cells', filter: ['has', 'fine'],
    paint: { 'fill-color': ['interpolate', ['linear'], ['coalesce', ['get', 'strength'], 0], 0, '#fff', 0.5, '#fbe6c0', 1.5, '#e39a3b', 3, '#a34d10'], 'fill-opacity': 0.75 },
  });
  map.addLayer({ id: 'fine', type: 'line', source: 'cells', filter: ['has', 'fine'], paint: { 'line-color': ['case', ['get', 'hot'], '#8c1d18', '#5c4a86'], 'line-width': 2 } });
  map.addLayer({
    id: 'hot-names', type: 'symbol', source: 'cells', minzoom: 9.5, filter: ['all', plain, ['get', 'hot']],
    layout: { 'text-field': ['get', 'name'], 'text-size': 11, 'text-font': ['sans-serif'] },
    paint: { 'text-color': '#1f2a27', 'text-halo-color': '#fff', 'text-halo-width': 1.4 },
  });
  const choose = (name) => map.setFilter('chosen', ['==', ['get', 'name'], name]);
  const frame = [[180, 90], [-180, -90]];
  for (const f of shapes.features) {
    for (const [x, y] of f.geometry.coordinates[0]) {
      frame[0] = [Math.min(frame[0][0], x), Math.min(frame[0][1], y)];
      frame[1] = [Math.max(frame[1][0], x), Math.max(frame[1][1], y)];
    }
  }
  if (shapes.features.length) map.fitBounds(frame, { padding: 20, maxZoom: 11, animate: false });
  for (const button of document.querySelectorAll('[data-cell]')) {
    button.addEventListener('click', () => {
      const cell = shapes.features.find((f) => f.properties['fine' in button.dataset ? 'place' : 'name'] === button.dataset.cell);
      const [from, , to] = cell.geometry.coordinates[0];
      choose('fine' in button.dataset ? '' : button.dataset.cell);
      map.jumpTo({ center: [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], zoom: 'fine' in button.dataset ? 13 : 11 });
      box.scrollIntoView({ block: 'nearest' });
    });
  }
  map.on('click', 'hot', (event) => {
    const { name } = event.features[0].properties;
    choose(name);
    const row = document.querySelector(`[data-cell="${name}"]:not([data-fine])`)?.closest('tr') || null;
    const details = row?.closest('details');
    if (details) details.open = true;
    row?.scrollIntoView({ block: 'center' });
  });
}
