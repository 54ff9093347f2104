// Ways of the air on the map: by cluster, or the cells that they passed (PSCF, CWT).

import { createMap } from '../../console/map.js';
import { read } from './draw.js';

const given = read('pictures');
const INKS = ['#12566a', '#b4571b', '#5c4a86', '#2e7d32', '#b3261e', '#7a6a00', '#c2185b', '#4f5a5f'];
const RAMP = ['#e4f0f2', '#84bac6', '#1f6f84', '#f2c14e', '#d1495b', '#7e0023'];
const note = document.getElementById('map-note');
const legend = document.getElementById('map-legend');
const buttons = [...document.querySelectorAll('[data-shows]')];
const colour = ['match', ['get', 'cluster'], ...INKS.flatMap((ink, k) => [k, ink]), '#4f5a5f'];
let { shown } = given;
let map;

const line = (coordinates, properties) => ({ type: 'Feature', properties, geometry: { type: 'LineString', coordinates } });
const ways = {
  type: 'FeatureCollection',
  features: [
    ...given.ways.map(([cluster, way]) => line(way, { cluster, what: 'way' })),
    ...given.middles.map((way, cluster) => line(way, { cluster, what: 'middle' })),
  ],
};
const ends = {
  type: 'FeatureCollection',
  features: given.middles.map((way, cluster) => ({
    type: 'Feature', properties: { cluster, name: `${cluster + 1}` }, geometry: { type: 'Point', coordinates: way[way.length - 1] },
  })),
};
const cells = {
  type: 'FeatureCollection',
  features: given.cells.map(([west, south, east, north, passes, pscf, cwt]) => ({
    type: 'Feature',
    properties: { passes: passes / given.per_hour, pscf, cwt },
    geometry: { type: 'Polygon', coordinates: [[[west, south], [east, south], [east, north], [west, north], [west, south]]] },
  })),
};
const most = { pscf: Math.max(1e-9, ...given.cells.map((c) => c[5])), cwt: Math.max(1e-9, ...given.cells.map((c) => c[6])) };
const round = (value) => Number(value.toPrecision(2));

function swatch(fill, words) {
  const item = document.createElement('span');
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 12 12');
  const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
  for (const [name, value] of Object.entries({ width: 12, height: 12, rx: 3, fill })) rect.setAttribute(name, value);
  svg.append(rect);
  item.append(svg, words);
  return item;
}

function tell() {
  note.textContent = given.notes[shown];
  if (shown === 'clusters') {
    legend.replaceChildren(...given.middles.map((_, k) => swatch(INKS[k], `${given.words.cluster} ${k + 1}`)));
    return;
  }
  const unit = shown === 'cwt' ? ` ${given.unit}` : '';
  legend.replaceChildren(...RAMP.map((fill, k) => swatch(fill, `${round((most[shown] * k) / (RAMP.length - 1))}${unit}`)));
}

function show() {
  if (!map) return;
  const byCluster = shown === 'clusters';
  for (const layer of ['ways', 'middles', 'ends']) map.setLayoutProperty(layer, 'visibility', byCluster ? 'visible' : 'none');
  map.setLayoutProperty('cells', 'visibility', byCluster ? 'none' : 'visible');
  if (!byCluster) {
    const steps = RAMP.flatMap((ink, k) => [(most[shown] * k) / (RAMP.length - 1), ink]);
    map.setPaintProperty('cells', 'fill-color', ['interpolate', ['linear'], ['get', shown], ...steps]);
    map.setPaintProperty('cells', 'fill-opacity', ['interpolate', ['linear'], ['get', shown], 0, 0.35, most[shown] / 3, 0.7]);
  }
}

buttons.forEach((button) => button.addEventListener('click', () => {
  shown = button.dataset.shows;
  buttons.forEach((b) => b.setAttribute('aria-pressed', String(b === button)));
  const url = new URL(window.location.href);
  url.searchParams.set('map', shown);
  window.history.replaceState(null, '', url);
  tell();
  show();
}));

// The buttons answer at once; the map, when it is there, shows what was chosen meanwhile.
tell();
({ map } = await createMap(document.getElementById('place')));
if (map) {
  map.addSource('ways', { type: 'geojson', data: ways });
  map.addSource('ends', { type: 'geojson', data: ends });
  map.addSource('cells', { type: 'geojson', data: cells });
  map.addLayer({ id: 'cells', type: 'fill', source: 'cells', paint: { 'fill-color': RAMP[0], 'fill-opacity': 0.62 } });
  map.addLayer({
    id: 'ways', type: 'line', source: 'ways', filter: ['==', ['get', 'what'], 'way'],
    paint: { 'line-color': colour, 'line-width': 1, 'line-opacity': 0.28 },
  });
  map.addLayer({
    id: 'middles', type: 'line', source: 'ways', filter: ['==', ['get', 'what'], 'middle'],
    layout: { 'line-cap': 'round' }, paint: { 'line-color': colour, 'line-width': 4 },
  });
  map.addLayer({
    id: 'ends', type: 'symbol', source: 'ends',
    layout: { 'text-field': ['get', 'name'], 'text-size': 15, 'text-font': ['sans-serif'], 'text-allow-overlap': true },
    paint: { 'text-color': colour, 'text-halo-color': '#fff', 'text-halo-width': 2.5 },
  });
  const box = [[180, 90], [-180, -90]];
  for (const [x, y] of [...given.middles.flat(), ...given.ways.map(([, way]) => way[way.length >> 1])]) {
    box[0] = [Math.min(box[0][0], x), Math.min(box[0][1], y)];
    box[1] = [Math.max(box[1][0], x), Math.max(box[1][1], y)];
  }
  map.fitBounds(box, { padding: 40, maxZoom: 11, animate: false });
  map.on('mousemove', 'cells', ({ features: [cell] }) => {
    const { passes, pscf, cwt } = cell.properties;
    map.getCanvas().title = `PSCF ${pscf} · CWT ${cwt} ${given.unit} · ${passes} ${given.words.places}`;
  });
  map.on('mouseleave', 'cells', () => { map.getCanvas().title = ''; });
  show();
}
