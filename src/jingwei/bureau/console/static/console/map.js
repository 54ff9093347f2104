/* The map: MapLibre GL with our own quiet style, drawn from our own boundaries.
 *
 *   createMap from './map.js':
 *   const map = await createMap(element, {
 *     regions: '/…/regions.geojson',    // Polygons: {name, parent?}; labels stand at {longitude, latitude} if given
 *     points: '/…/points.geojson',      // Points, see below
 *     findings: '/…/findings.geojson',  // Points: {id, title, kind_label, url, began, severity 1…3}
 *     tiles: 'https://…/{z}/{x}/{y}.png',  // raster source instead of the plain ground; {s}: 0…7;
 *                                       // or a PMTiles archive, raster or in Protomaps' vector schema
 *     place: [longitude, latitude],     // a pin, and the start of the view
 *     zoom: 11, refresh: 15,            // seconds between two looks at points and findings; 0: none
 *     own: '110105 110107',             // frame these areas and the places, but not what hangs in the air;
 *                                       // '': the places alone
 *     list: element,                    // where the same places stand as a list
 *     hash: true,                       // keep the view in the URL
 *   });
 *
 * Every option may stand as a data attribute of the element (data-points="…"). Properties of a point:
 *
 *   kind: "source" | "air_station" | "micro_station"; name; url; state: normal | watch | abnormal | offline;
 *   enterprise?; seen? (ISO time); values? [{name, value, unit}] latest values, as text or number
 *   aqi?, level? (1…6), level_name?, primary? for air stations
 *
 * The list is the keyboard's and the screen reader's way to every place, and stands in for the map
 * where there is no WebGL 2. Labels are drawn with the fonts of the machine: no glyph server.
 */

import * as maplibre from '../vendor/maplibre-gl/maplibre-gl.mjs';
import { ago, text } from './time.js';

maplibre.setWorkerUrl(new URL('../vendor/maplibre-gl/maplibre-gl-worker.mjs', import.meta.url).href);

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const STATES = ['abnormal', 'watch', 'normal', 'offline'];
const stateWord = (state) => ({
  normal: gettext('Normal'), watch: gettext('Watch'), abnormal: gettext('Abnormal'), offline: gettext('Offline'),
}[state] || state);
const levelWord = (level) => ['', gettext('Excellent'), gettext('Good'), gettext('Light pollution'),
  gettext('Moderate pollution'), gettext('Heavy pollution'), gettext('Severe pollution')][level] || '';
const FONT = ['sans-serif'];
const AQI_PLATE = ['concat', 'aqi-', ['to-string', ['coalesce', ['get', 'level'], 0]]];
const SOURCES = ['!', ['in', ['get', 'kind'], ['literal', ['air_station', 'micro_station']]]];
const NOTHING = { type: 'FeatureCollection', features: [] };

function element(name, className = '', content = '') {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (content !== '') made.textContent = content;
  return made;
}

/* ── pictures ───────────────────────────────────────────────────────────── */

function picture(size, draw) {
  const canvas = document.createElement('canvas');
  canvas.width = size[0] * 2;
  canvas.height = size[1] * 2;
  const context = canvas.getContext('2d');
  context.scale(2, 2);
  draw(context, size[0], size[1]);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The same four shapes as the badges: disc, triangle, diamond, ring; white edge on any ground. */
function shape(state) {
  return picture([18, 18], (c) => {
    c.beginPath();
    if (state === 'watch') {
      c.moveTo(9, 2.5);
      c.lineTo(16, 15);
      c.lineTo(2, 15);
      c.closePath();
    } else if (state === 'abnormal') {
      c.moveTo(9, 1.5);
      c.lineTo(16.5, 9);
      c.lineTo(9, 16.5);
      c.lineTo(1.5, 9);
      c.closePath();
    } else c.arc(9, 9, state === 'offline' ? 4.6 : 5, 0, 7);
    c.lineJoin = 'round';
    c.strokeStyle = '#fff';
    c.lineWidth = state === 'offline' ? 6 : 3;
    c.stroke();
    if (state === 'offline') {
      c.fillStyle = '#fff';
      c.fill();
      c.strokeStyle = css('offline');
      c.lineWidth = 2.4;
      c.stroke();
    } else {
      c.fillStyle = css(state);
      c.fill();
    }
  });
}

function plate(level) {
  return picture([34, 22], (c, width, height) => {
    c.beginPath();
    c.roundRect(1.5, 1.5, width - 3, height - 3, 5);
    c.fillStyle = level ? css(`aqi-${level}`) : '#fff';
    c.fill();
    c.lineWidth = 1.5;
    c.strokeStyle = level ? 'rgb(24 33 31 / 65%)' : css('offline');
    c.stroke();
  });
}

/* ── base map ───────────────────────────────────────────────────────────── */

const isArchive = (url) => new URL(url, window.location.href).pathname.endsWith('.pmtiles');

function script(address) {
  return new Promise((resolve, reject) => {
    const tag = element('script');
    tag.src = address;
    tag.onload = resolve;
    tag.onerror = () => reject(new Error(address));
    document.head.append(tag);
  });
}

/** Source and layers of a PMTiles archive; none where it cannot be read, so that the map stays. */
async function archive(url) {
  try {
    if (!window.pmtiles) await script(new URL('../vendor/pmtiles/pmtiles.js', import.meta.url).href);
    const { PMTiles, Protocol, TileType } = window.pmtiles;
    const file = new PMTiles(new URL(url, window.location.href).href);
    const header = await file.getHeader();
    const protocol = new Protocol();
    protocol.add(file);
    maplibre.addProtocol('pmtiles', protocol.tile);
    const address = `pmtiles://${file.source.getKey()}`;
    if (header.tileType !== TileType.Mvt) {
      return { source: { type: 'raster', url: address, tileSize: 256 }, layers: [RASTER] };
    }
    const paint = (id, type, look) => ({ id: `tiles-${id}`, type, source: 'tiles', 'source-layer': id, paint: look });
    return { source: { type: 'vector', url: address }, layers: [
      paint('earth', 'fill', { 'fill-color': '#fcfdfc' }),
      paint('water', 'fill', { 'fill-color': '#d5e2e4' }),
      paint('roads', 'line', { 'line-color': '#dde2df', 'line-width': ['interpolate', ['linear'], ['zoom'], 8, 0.5, 14, 3] }),
    ] };
  } catch (error) {
    console.warn('base map:', error);
    return null;
  }
}

const RASTER = { id: 'tiles', type: 'raster', source: 'tiles', paint: { 'raster-saturation': -0.6, 'raster-opacity': 0.75 } };

async function baseMap(url) {
  if (!url) return null;
  if (isArchive(url)) return archive(url);
  const tiles = url.includes('{s}') ? [...'01234567'].map((s) => url.replace('{s}', s)) : [url];
  return { source: { type: 'raster', tiles, tileSize: 256 }, layers: [RASTER] };
}

/* ── style ──────────────────────────────────────────────────────────────── */

function style(base) {
  const sources = {
    regions: { type: 'geojson', data: NOTHING },
    labels: { type: 'geojson', data: NOTHING },
    points: { type: 'geojson', data: NOTHING },
    findings: { type: 'geojson', data: NOTHING, cluster: true, clusterRadius: 34, clusterMaxZoom: 13,
      clusterProperties: { severity: ['max', ['get', 'severity']] } },
  };
  const layers = [{ id: 'ground', type: 'background', paint: { 'background-color': '#e9eeec' } }];
  if (base) {
    sources.tiles = base.source;
    layers.push(...base.layers);
  }
  layers.push(
    { id: 'regions', type: 'fill', source: 'regions',
      paint: { 'fill-color': '#fcfdfc', 'fill-opacity': base ? 0 : 1 } },
    { id: 'borders', type: 'line', source: 'regions', layout: { 'line-join': 'round' },
      paint: { 'line-color': '#aab6b1', 'line-width': ['interpolate', ['linear'], ['zoom'], 7, 0.8, 12, 1.6] } },
    { id: 'labels', type: 'symbol', source: 'labels',
      layout: { 'text-field': ['step', ['zoom'], ['case', ['get', 'large'], ['get', 'name'], ''], 9.4, ['get', 'name']],
        'text-font': FONT, 'text-allow-overlap': true,
        'text-size': ['interpolate', ['linear'], ['zoom'], 7, 11, 11, 15], 'text-letter-spacing': 0.06 },
      paint: { 'text-color': '#6b7873', 'text-halo-color': '#fcfdfc', 'text-halo-width': 1.4 } },
    // Every station has its small plate; its number stands where there is room for it.
    { id: 'station-dots', type: 'symbol', source: 'points', filter: ['==', ['get', 'kind'], 'air_station'],
      layout: { 'icon-image': AQI_PLATE, 'icon-size': 0.45, 'icon-allow-overlap': true, 'icon-ignore-placement': true } },
    { id: 'stations', type: 'symbol', source: 'points', filter: ['==', ['get', 'kind'], 'air_station'],
      layout: { 'icon-image': AQI_PLATE, 'icon-size': 0.86, 'icon-padding': 0, 'text-font': FONT, 'text-size': 11,
        'symbol-sort-key': ['-', ['case', ['==', ['typeof', ['get', 'aqi']], 'number'], ['get', 'aqi'], 0]],
        'text-field': ['case', ['==', ['typeof', ['get', 'aqi']], 'number'], ['to-string', ['get', 'aqi']], '–'] },
      paint: { 'text-color': ['case', ['>=', ['to-number', ['get', 'level'], 0], 5], '#ffffff', '#000000'] } },
    { id: 'micro-stations', type: 'circle', source: 'points', filter: ['==', ['get', 'kind'], 'micro_station'],
      paint: { 'circle-radius': ['interpolate', ['linear'], ['zoom'], 8, 2, 12, 4.5],
        'circle-color': ['match', ['get', 'state'], 'offline', '#ffffff', css('micro')],
        'circle-stroke-width': 1.2, 'circle-stroke-color': ['match', ['get', 'state'], 'offline', css('offline'), '#ffffff'] } },
    { id: 'sources', type: 'symbol', source: 'points', filter: SOURCES,
      layout: { 'icon-image': ['get', 'state'], 'icon-allow-overlap': true, 'icon-ignore-placement': true,
        'icon-size': ['interpolate', ['linear'], ['zoom'], 8, 0.8, 12, 1.15],
        'symbol-sort-key': ['match', ['get', 'state'], 'abnormal', 3, 'watch', 2, 'offline', 1, 0],
        'text-field': ['step', ['zoom'], '', 12, ['get', 'name']], 'text-font': FONT, 'text-size': 12,
        'text-offset': [0, 1.1], 'text-anchor': 'top', 'text-optional': true },
      paint: { 'text-color': css('ink-2'), 'text-halo-color': '#fff', 'text-halo-width': 1.2 } },
    // Drawn by markers (see `rings`); here only so that the source is loaded and clustered.
    { id: 'findings', type: 'circle', source: 'findings', paint: { 'circle-radius': 1, 'circle-opacity': 0 } },
  );
  return { version: 8, sources, layers };
}

/* ── places as text: popups and the list ────────────────────────────────── */

const isStation = (p) => p.kind === 'air_station';
const isMicro = (p) => p.kind === 'micro_station';
const isSource = (p) => !isStation(p) && !isMicro(p);

function sign(p) {
  if (isStation(p)) {
    const made = element('span', `aqi${p.level ? ` aqi-${p.level}` : ''}`, p.aqi ?? '–');
    if (p.level) made.title = p.level_name || levelWord(p.level);
    return made;
  }
  return element('span', `badge state-${p.state}`, stateWord(p.state));
}

function card(p) {
  const box = element('div', 'map-card');
  const head = box.appendChild(element('p', 'map-card-head'));
  head.append(sign(p));
  if (isStation(p) && p.level) head.append(' ', p.level_name || levelWord(p.level));
  const title = element(p.url ? 'a' : 'strong', 'map-card-title', p.name);
  if (p.url) title.href = p.url;
  box.append(title);
  if (p.enterprise) box.append(element('p', 'muted', p.enterprise));
  if (isMicro(p)) box.append(element('p', 'muted', gettext('Micro-station: indicative, not judged by standards')));
  const values = typeof p.values === 'string' ? JSON.parse(p.values) : p.values;
  if (values && values.length) {
    const list = box.appendChild(element('dl', 'map-card-values'));
    for (const { name, value, unit } of values.slice(0, 6)) {
      const row = list.appendChild(element('div'));
      row.append(element('dt', '', name), element('dd', '', `${value ?? '–'} ${unit || ''}`));
    }
  }
  if (p.primary && p.primary !== '[]') {
    box.append(element('p', 'muted', interpolate(gettext('Primary pollutant: %s'), [p.primary])));
  }
  if (p.seen) box.append(element('p', 'muted', interpolate(gettext('Last data: %s'), [`${text(p.seen)} (${ago(p.seen)})`])));
  return box;
}

function findingCard(p) {
  const box = element('div', 'map-card');
  box.append(element('p', 'map-card-head muted', p.kind_label || p.kind || ''));
  const title = box.appendChild(element('a', 'map-card-title', p.title));
  title.href = p.url;
  if (p.began) box.append(element('p', 'muted', interpolate(gettext('Since %s'), [`${text(p.began)} (${ago(p.began)})`])));
  return box;
}

function row(p, mark) {
  const item = element('li');
  const main = item.appendChild(element('div', 'list-main'));
  const link = main.appendChild(element(p.url ? 'a' : 'span', '', p.title || p.name));
  if (p.url) link.href = p.url;
  const below = [p.enterprise, p.seen ? ago(p.seen) : p.began ? ago(p.began) : ''].filter(Boolean).join(' · ');
  if (below) main.append(element('small', '', below));
  item.appendChild(element('div', 'list-side')).append(mark);
  return item;
}

function writeList(box, data, alone) {
  const points = data.points.features.map((f) => f.properties);
  const groups = [
    [gettext('Findings'), data.findings.features.map((f) => f.properties)
      .map((p) => row(p, element('span', 'badge', p.kind_label || p.kind || '')))],
    ...STATES.map((state) => [stateWord(state), points.filter((p) => isSource(p) && p.state === state)
      .map((p) => row(p, sign(p)))]),
    [gettext('Air stations'), points.filter(isStation).sort((a, b) => (b.aqi ?? -1) - (a.aqi ?? -1)).map((p) => row(p, sign(p)))],
    [gettext('Micro-stations'), points.filter(isMicro).map((p) => row(p, sign(p)))],
  ];
  const made = [];
  if (alone) {
    made.push(element('p', 'alert map-alone', gettext('This browser cannot draw the map (WebGL 2 is missing). The same places stand in the list.')));
  }
  for (const [title, rows] of groups) {
    if (!rows.length) continue;
    made.push(element('h2', 'map-list-title', `${title} ${rows.length}`));
    const list = element('ul', 'list');
    list.append(...rows);
    made.push(list);
  }
  if (!points.length && !data.findings.features.length) made.push(element('p', 'empty', gettext('No places to show.')));
  box.replaceChildren(...made);
}

/* ── legend, which also switches what is shown ──────────────────────────── */

function legend(data, shown, changed) {
  const box = element('details', 'map-legend');
  box.open = window.innerWidth > 820;
  box.append(element('summary', '', gettext('Legend')));
  const list = box.appendChild(element('ul'));
  const entry = (key, mark, label) => {
    const item = list.appendChild(element('li'));
    const made = item.appendChild(element('label'));
    const tick = made.appendChild(element('input'));
    tick.type = 'checkbox';
    tick.checked = shown[key];
    tick.addEventListener('change', () => {
      shown[key] = tick.checked;
      changed();
    });
    made.append(mark, element('span', 'map-legend-name', label));
    const count = made.appendChild(element('span', 'map-legend-count'));
    count.dataset.key = key;
  };
  if (data.has.points) for (const state of STATES) entry(state, element('span', `state-${state}`), stateWord(state));
  if (data.has.findings) entry('findings', element('span', 'map-ring-sign'), gettext('Findings'));
  if (data.has.points) {
    entry('stations', element('span', 'map-plate-sign'), gettext('Air stations'));
    const scale = box.appendChild(element('ol', 'map-scale'));
    for (const level of [1, 2, 3, 4, 5, 6]) {
      const step = scale.appendChild(element('li', `aqi-${level}`, level));
      step.title = levelWord(level);
    }
    scale.setAttribute('aria-label', gettext('AQI levels 1 (excellent) to 6 (severe)'));
    if (data.points.features.some((f) => isMicro(f.properties))) {
      entry('micro', element('span', 'map-micro-sign'), gettext('Micro-stations'));
    }
  }
  return box;
}

/* ── the map ────────────────────────────────────────────────────────────── */

function bounds(collection) {
  const box = new maplibre.LngLatBounds();
  const visit = (c) => (typeof c[0] === 'number' ? box.extend(c) : c.forEach(visit));
  for (const f of collection.features) if (f.geometry) visit(f.geometry.coordinates);
  return box;
}

function labels(regions) {
  // The city itself needs no name where its districts have theirs.
  const parts = regions.features.filter((f) => f.geometry && f.properties.name);
  const inner = parts.filter((f) => f.properties.parent);
  return {
    type: 'FeatureCollection',
    features: (inner.length ? inner : parts).map((f) => {
      const { longitude, latitude } = f.properties;
      const box = bounds({ features: [f] });
      const centre = typeof longitude === 'number' ? [longitude, latitude] : box.getCenter().toArray();
      const large = (box.getEast() - box.getWest()) * (box.getNorth() - box.getSouth()) > 0.1;
      return { type: 'Feature', properties: { name: f.properties.name, large }, geometry: { type: 'Point', coordinates: centre } };
    }),
  };
}

class LostSession extends Error {}

async function load(url) {
  if (!url) return NOTHING;
  const answer = await fetch(url, { headers: { Accept: 'application/geo+json, application/json' } });
  if (answer.redirected && answer.url.includes('/login/')) throw new LostSession();
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

export async function createMap(box, given = {}) {
  const d = box.dataset;
  const options = {
    regions: d.regions, points: d.points, findings: d.findings, tiles: d.tiles,
    place: d.longitude ? [Number(d.longitude), Number(d.latitude)] : null,
    zoom: d.zoom ? Number(d.zoom) : 11, refresh: Number(d.refresh || 0), own: d.own, hash: 'hash' in d,
    list: d.list ? document.getElementById(d.list) : null, ...given,
  };
  const data = {
    regions: NOTHING, points: NOTHING, findings: NOTHING,
    has: { points: Boolean(options.points), findings: Boolean(options.findings) },
  };
  const shown = { normal: true, watch: true, abnormal: true, offline: true, findings: true, stations: true, micro: true };
  const counts = { stations: isStation, micro: isMicro };
  const notice = element('p', 'map-notice');
  notice.setAttribute('role', 'status');
  notice.hidden = true;
  const keep = options.hash && location.hash.includes('map=');  // before the map writes its own
  let list = options.list;
  let map = null;
  let rings = () => {};
  let drawn = false;  // whether the style is there to be filled

  const webgl = Boolean(document.createElement('canvas').getContext('webgl2'));
  if (!webgl) {
    if (!list) {
      list = element('div', 'map-list');
      box.after(list);
    }
    list.hidden = false;
    box.hidden = true;
    box.parentElement.querySelector('.map-switch')?.remove();
  }

  function apply() {
    if (drawn) {
      const states = STATES.filter((s) => shown[s]);
      map.setFilter('sources', ['all', SOURCES, ['in', ['get', 'state'], ['literal', states]]]);
      for (const layer of ['stations', 'station-dots']) {
        map.setLayoutProperty(layer, 'visibility', shown.stations ? 'visible' : 'none');
      }
      map.setLayoutProperty('micro-stations', 'visibility', shown.micro ? 'visible' : 'none');
      rings();
    }
    for (const count of box.querySelectorAll('.map-legend-count')) {
      const { key } = count.dataset;
      count.textContent = key === 'findings' ? data.findings.features.length
        : data.points.features.filter(({ properties: p }) => (counts[key] ? counts[key](p) : isSource(p) && p.state === key)).length;
    }
  }

  function say(message, link) {
    notice.hidden = !message;
    notice.replaceChildren(message || '');
    if (link) notice.append(' ', link);
  }

  let good = null;
  async function refresh() {
    try {
      [data.points, data.findings] = await Promise.all([load(options.points), load(options.findings)]);
      good = Date.now();
      say('');
    } catch (error) {
      if (error instanceof LostSession) {
        const link = element('a', '', gettext('Log in again'));
        link.href = location.href;
        say(gettext('Your session has ended.'), link);
      } else {
        say(good ? interpolate(gettext('No connection. The map shows the state of %s.'), [text(good, 'second').slice(11)])
          : gettext('The places could not be loaded. Trying again.'));
      }
      return;
    }
    if (drawn) {
      map.getSource('points').setData(data.points);
      map.getSource('findings').setData(data.findings);
    }
    if (list) writeList(list, data, !webgl);
    apply();
  }

  if (webgl) {
    map = new maplibre.Map({
      container: box, style: style(await baseMap(options.tiles)), hash: options.hash ? 'map' : false,
      center: options.place || [116.4, 39.95], zoom: options.place ? options.zoom : 8,
      minZoom: 5, maxZoom: 17, attributionControl: false, dragRotate: false, pitchWithRotate: false,
      touchPitch: false, fadeDuration: 0, cooperativeGestures: options.cooperative || false,
      locale: {
        'NavigationControl.ZoomIn': gettext('Zoom in'), 'NavigationControl.ZoomOut': gettext('Zoom out'),
        'Map.Title': gettext('Map'), 'Popup.Close': gettext('Close'),
      },
    });
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.addControl(new maplibre.NavigationControl({ showCompass: false }), 'top-right');
    if (!options.place) map.addControl(new HomeControl(() => fit(true)), 'top-right');
    for (const state of STATES) map.addImage(state, shape(state), { pixelRatio: 2 });
    for (let level = 0; level <= 6; level += 1) map.addImage(`aqi-${level}`, plate(level), { pixelRatio: 2 });
    map.getCanvas().setAttribute('aria-label', gettext('Map'));
    box.append(notice);
  }

  function fit(animate) {
    const own = options.own?.split(' ');
    const area = bounds({
      features: [
        ...data.points.features.filter((f) => !own || isSource(f.properties)), ...data.findings.features,
        ...data.regions.features.filter((f) => own?.includes(f.properties.code)),
      ],
    });
    const all = area.isEmpty() ? bounds(data.regions) : area;
    // The legend must not cover what it explains.
    const left = box.querySelector('.map-legend[open]') || window.innerWidth > 820 ? 180 : 40;
    if (!all.isEmpty()) map.fitBounds(all, { padding: { top: 40, right: 60, bottom: 40, left }, maxZoom: 12, animate });
  }

  const loaded = map && new Promise((resolve) => { map.once('load', resolve); });
  const regions = load(options.regions).catch(() => NOTHING);
  const first = refresh();
  data.regions = await regions;
  if (map) {
    await loaded;
    drawn = true;
    map.getSource('regions').setData(data.regions);
    map.getSource('labels').setData(labels(data.regions));
    await first;
    map.getSource('points').setData(data.points);
    map.getSource('findings').setData(data.findings);
    if (!options.place && !keep) fit(false);
    if (options.place) {
      new maplibre.Marker({ element: element('span', 'map-pin') }).setLngLat(options.place).addTo(map);
    }
    if (data.has.points || data.has.findings) box.append(legend(data, shown, apply));
    rings = findingRings(map, shown);
    popups(map);
    apply();
  } else await first;

  let timer = null;
  if (options.refresh) {
    const beat = () => { if (!document.hidden) refresh(); };
    timer = setInterval(beat, options.refresh * 1000);
    document.addEventListener('visibilitychange', beat);
  }
  box.dataset.ready = 'true';
  return { map, refresh, dispose() { clearInterval(timer); map?.remove(); } };
}

class HomeControl {
  constructor(act) { this.act = act; }

  onAdd() {
    this.box = element('div', 'maplibregl-ctrl maplibregl-ctrl-group');
    const button = this.box.appendChild(element('button', 'map-home'));
    button.type = 'button';
    button.title = gettext('Show everything');
    button.setAttribute('aria-label', button.title);
    button.addEventListener('click', this.act);
    return this.box;
  }

  onRemove() { this.box.remove(); }
}

function popups(map) {
  const popup = new maplibre.Popup({ maxWidth: '300px', offset: 10, focusAfterOpen: false });
  for (const layer of ['sources', 'stations', 'station-dots', 'micro-stations']) {
    map.on('click', layer, (event) => {
      const feature = event.features[0];
      popup.setLngLat(feature.geometry.coordinates).setDOMContent(card(feature.properties)).addTo(map);
    });
    map.on('mouseenter', layer, () => { map.getCanvas().style.cursor = 'pointer'; });
    map.on('mouseleave', layer, () => { map.getCanvas().style.cursor = ''; });
  }
}

/** Findings are rings round their place: buttons in the page, drawn for what is in view. */
function findingRings(map, shown) {
  const made = new Map();
  function draw() {
    const wanted = new Map();
    if (shown.findings && map.isSourceLoaded('findings')) {
      for (const f of map.querySourceFeatures('findings')) {
        const p = f.properties;
        wanted.set(p.cluster ? `c${p.cluster_id}` : `f${p.id}`, f);
      }
    } else if (shown.findings) return;
    for (const [key, marker] of made) {
      if (!wanted.has(key)) {
        marker.remove();
        made.delete(key);
      }
    }
    for (const [key, f] of wanted) {
      if (made.has(key)) continue;
      const p = f.properties;
      const button = element('button', 'map-ring', p.cluster ? p.point_count : '');
      button.type = 'button';
      button.classList.toggle('is-high', Number(p.severity) === 3);
      button.title = p.cluster ? interpolate(ngettext('%s finding', '%s findings', p.point_count), [p.point_count]) : p.title;
      button.setAttribute('aria-label', button.title);
      const at = f.geometry.coordinates;
      const marker = new maplibre.Marker({ element: button }).setLngLat(at).addTo(map);
      if (p.cluster) {
        button.addEventListener('click', async (event) => {
          event.stopPropagation();
          const source = map.getSource('findings');
          const leaves = await source.getClusterLeaves(p.cluster_id, 8, 0);
          const zoom = await source.getClusterExpansionZoom(p.cluster_id);
          if (zoom <= 13) map.easeTo({ center: at, zoom });
          else {
            const box = element('div', 'map-cards');
            box.append(...leaves.map((leaf) => findingCard(leaf.properties)));
            new maplibre.Popup({ maxWidth: '300px', offset: 16, focusAfterOpen: !event.detail }).setLngLat(at).setDOMContent(box).addTo(map);
          }
        });
      } else {
        button.addEventListener('click', (event) => {
          event.stopPropagation();
          new maplibre.Popup({ maxWidth: '300px', offset: 16, focusAfterOpen: !event.detail }).setLngLat(at).setDOMContent(findingCard(p)).addTo(map);
        });
      }
      made.set(key, marker);
    }
  }
  map.on('moveend', draw);
  map.on('sourcedata', (event) => { if (event.sourceId === 'findings' && event.isSourceLoaded) draw(); });
  map.on('idle', draw);
  return draw;
}

for (const box of document.querySelectorAll('[data-map]')) createMap(box);
