// The page of a finding: its series, and its width drawn on the map.

import { createMap } from '../console/map.js';
import { lineChart } from '../console/chart.js';

const data = document.getElementById('series');

// The values around those over the limit, where they can be had; else the ones that were told.
async function draw(chart, own) {
  let options = own;
  if (chart.dataset.series) {
    try {
      const response = await fetch(chart.dataset.series, { headers: { Accept: 'application/json' } });
      const found = response.ok ? await response.json() : own;
      if (found.series.some((s) => s.data.length)) options = { ...found, csv: undefined };
    } catch {
      options = own;
    }
  }
  lineChart(chart, options);
}

if (data) draw(document.getElementById('chart'), JSON.parse(data.textContent));

const box = document.getElementById('place');
const { map } = await createMap(box);
const width = Number(box.dataset.extent);
if (map && width > 0) {
  const [x, y] = [Number(box.dataset.longitude), Number(box.dataset.latitude)];
  const up = width / 2 / 111195;
  const across = up / Math.cos(y * Math.PI / 180);
  const ring = [[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]].map(([a, b]) => [x + a * across, y + b * up]);
  map.addSource('extent', { type: 'geojson', data: { type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: [ring] } } });
  map.addLayer({ id: 'extent', type: 'line', source: 'extent', paint: { 'line-color': '#b3261e', 'line-width': 2, 'line-dasharray': [2, 1] } });
  map.fitBounds([ring[0], ring[2]], { padding: 40, maxZoom: box.dataset.tiles ? 15 : 11, animate: false });
}
