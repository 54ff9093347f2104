/* Time series charts.
 *
 *   lineChart from './chart.js':
 *   const chart = lineChart(element, {
 *     label: 'NOx at outlet DA001',            // what the picture shows, for screen readers
 *     series: [{ name, unit, data: [[time, value | null, flag?], …], decimals?, axis?: 0 | 1,
 *                dashed?: true }],             // time: ISO text or ms; flag: mark of HJ 212
 *     limits: [{ name, value, lower?: true, axis?: 0 | 1 }],   // horizontal lines
 *     band: [1, 2],                            // shaded between these two series: lower, upper
 *     step: 3600000,                           // ms between two values: longer distances are gaps
 *     flags: { M: 'Maintenance', … },          // words for the marks
 *     exact: 'minute' | 'second' | 'day',      // how times are written
 *     csv: '/…/export.csv',                    // link beside the table
 *     range: [from, to],                       // the time axis, if not just what the data cover
 *     select: ({ time, name, value, flag, index }) => …,   // a value was clicked
 *   });
 *   chart.update(options); chart.dispose();
 *
 * Drawn: the line with gaps where values are missing (light grey), bands with the mark where the
 * flag is not N, limit lines, and a red diamond on each value over (under) a limit. Below it: the
 * same values as a table, and the CSV. Nothing is drawn with HTML tooltips or inline styles in
 * markup, so the strict content security policy holds.
 */

import * as echarts from '../vendor/echarts/echarts.mjs';
import { language, millis, text, wall } from './time.js';

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const INK = ['#12566a', '#99600f', '#5c4a86', '#4f5a5f'];
const CALM = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
const NORMAL = new Set(['', 'N', undefined, null]);

const format = (value, decimals) => (value === null || value === undefined ? '–'
  : decimals === undefined ? `${Number(value.toPrecision(6))}` : value.toFixed(decimals));

/** The rows of a series with a null row inside every gap, and the gaps and marked bands. */
function prepare(data, step) {
  const rows = [];
  const gaps = [];
  const bands = [];
  let band = null;
  let last = null;
  data.forEach(([time, value, flag], index) => {
    const at = millis(time);
    if (last !== null && step && at - last > 1.5 * step) {
      rows.push([wall(last + step), null]);
      gaps.push([last + step, at]);
      band = null;
    }
    rows.push([wall(at), value ?? null, flag ?? '', index]);
    if (NORMAL.has(flag)) band = null;
    else if (band && band.flag === flag) band.to = at + (step || 0);
    else {
      band = { flag, from: at, to: at + (step || 0) };
      bands.push(band);
    }
    last = at;
  });
  return { rows, gaps, bands };
}

// Whether a line can be seen: values far apart, as of a setting that is read now and then, are points.
function joined(rows) {
  return rows.some((r, i) => r[1] !== null && rows[i + 1] && rows[i + 1][1] !== null)
    && rows.filter((r) => r[1] !== null).length > 2;
}

function option(options) {
  const ink = { color: css('ink-3'), fontFamily: css('font'), fontSize: 12 };
  const units = [0, 1].map((axis) => [...new Set(options.series
    .filter((s) => (s.axis || 0) === axis).map((s) => s.unit).filter(Boolean))].join(', '));
  const two = options.series.some((s) => s.axis === 1);
  const narrow = window.innerWidth < 640;
  const many = options.series.length > 1;
  const series = [];
  options.series.forEach((given, number) => {
    const { rows, gaps, bands } = prepare(given.data, options.step);
    const colour = INK[number % INK.length];
    const limits = (options.limits || []).filter((l) => (l.axis || 0) === (given.axis || 0));
    series.push({
      name: given.name, type: 'line', yAxisIndex: given.axis || 0, data: rows,
      encode: { x: 0, y: 1 }, showSymbol: !joined(rows),
      symbol: 'circle', symbolSize: 5, connectNulls: false,
      sampling: rows.length > 4000 ? 'minmax' : undefined,
      itemStyle: { color: colour },
      lineStyle: { color: colour, width: 1.6, type: given.dashed ? 'dashed' : 'solid' },
      emphasis: { lineStyle: { width: 1.6 } },
      markArea: number ? undefined : {
        silent: true,
        data: [
          ...gaps.map(([from, to]) => [
            { xAxis: wall(from), itemStyle: { color: css('offline-bg') } }, { xAxis: wall(to) },
          ]),
          ...bands.map(({ flag, from, to }) => [
            { xAxis: wall(from), itemStyle: { color: css('watch-bg') },
              label: { show: true, formatter: flag, position: 'insideTop', color: css('watch'), fontSize: 11 } },
            { xAxis: wall(to) },
          ]),
        ],
      },
      // A limit line belongs to the first series of its axis.
      markLine: options.series.findIndex((s) => (s.axis || 0) === (given.axis || 0)) !== number
        ? undefined : {
          silent: true, symbol: 'none', animation: false,
          data: limits.map((limit) => ({
            yAxis: limit.value,
            lineStyle: { color: css('abnormal'), type: [6, 4], width: 1.4 },
            label: {
              position: 'insideStartTop', color: css('abnormal'), fontSize: 11,
              formatter: `${limit.name} ${format(limit.value)}`,
            },
          })),
        },
    });
    if (limits.length && !given.noJudge) {
      const beyond = rows.filter(([, value, flag]) => value !== null && NORMAL.has(flag)
        && limits.some((l) => (l.lower ? value < l.value : value > l.value)));
      series.push({
        name: gettext('Beyond the limit'), type: 'scatter', yAxisIndex: given.axis || 0,
        data: beyond, encode: { x: 0, y: 1 }, symbol: 'diamond', symbolSize: 9, z: 5,
        itemStyle: { color: css('abnormal') }, tooltip: { show: false },
      });
    }
  });
  if (options.band) {
    const [low, high] = options.band.map((number) => options.series[number]);
    const edge = { type: 'line', stack: 'band', stackStrategy: 'all', symbol: 'none', silent: true,
      yAxisIndex: low.axis || 0, tooltip: { show: false }, lineStyle: { opacity: 0 }, z: 1 };
    const at = low.data.map(([time]) => wall(millis(time)));
    const height = low.data.map(([, value], i) => (value === null || high.data[i][1] === null
      ? null : high.data[i][1] - value));
    series.push(
      { ...edge, data: low.data.map(([, value], i) => [at[i], value]) },
      { ...edge, data: height.map((value, i) => [at[i], value]),
        areaStyle: { color: INK[options.band[1] % INK.length], opacity: 0.12 } },
    );
  }
  const axis = (number) => ({
    type: 'value', name: units[number], scale: false, position: number ? 'right' : 'left',
    nameTextStyle: { ...ink, align: number ? 'right' : 'left' }, axisLabel: ink,
    axisLine: { show: false }, axisTick: { show: false },
    splitLine: { show: !number, lineStyle: { color: css('line') } },
    // Keep every limit in view.
    max: (range) => {
      const limits = (options.limits || []).filter((l) => (l.axis || 0) === number);
      const top = Math.max(...limits.map((l) => l.value * 1.08), -Infinity);
      return Number.isFinite(top) && !(range.max > top) ? Number(top.toPrecision(3)) : null;
    },
  });
  return {
    useUTC: true, animation: !CALM, animationDuration: 200, textStyle: ink,
    aria: { enabled: false },
    grid: { left: 12, right: two ? 12 : 16, top: narrow && many ? 64 : 40, bottom: 56, containLabel: true },
    legend: {
      show: many, top: narrow ? 0 : 6, right: two ? 72 : 12, icon: 'roundRect', itemWidth: 14,
      itemHeight: 3, textStyle: { ...ink, color: css('ink-2') },
      data: options.series.map((s) => s.name),
    },
    tooltip: {
      trigger: 'axis', renderMode: 'richText', confine: true, padding: [8, 12],
      backgroundColor: '#fff', borderColor: css('line-strong'), borderWidth: 1,
      textStyle: { color: css('ink'), fontSize: 12, fontFamily: css('font'), lineHeight: 18 },
      axisPointer: { lineStyle: { color: css('ink-3'), type: 'solid' } },
      formatter: (items) => {
        const rows = items.filter((i) => i.seriesType === 'line' && i.value[3] !== undefined);
        if (!rows.length) return '';
        const first = options.series.find((s) => s.name === rows[0].seriesName);
        return [text(first.data[rows[0].value[3]][0], options.exact), ...rows.map((item) => {
          const given = options.series.find((s) => s.name === item.seriesName);
          const [, value, flag] = item.value;
          const mark = NORMAL.has(flag) ? '' : `  ${flag} ${(options.flags || {})[flag] || ''}`;
          return `${given.name}  ${format(value, given.decimals)} ${given.unit || ''}${mark}`;
        })].join('\n');
      },
    },
    xAxis: {
      type: 'time',
      min: options.range ? wall(millis(options.range[0])) : undefined,
      max: options.range ? wall(millis(options.range[1])) : undefined,
      axisLine: { lineStyle: { color: css('line-strong') } }, axisTick: { show: false },
      axisLabel: { ...ink, hideOverlap: true, formatter: {
        year: '{yyyy}', month: '{yyyy}-{MM}', day: '{MM}-{dd}', hour: '{HH}:{mm}', minute: '{HH}:{mm}',
        second: '{HH}:{mm}:{ss}', millisecond: '{HH}:{mm}:{ss}', none: '{MM}-{dd} {HH}:{mm}' } },
      splitLine: { show: false }, splitNumber: narrow ? 3 : 7,
    },
    yAxis: two ? [axis(0), axis(1)] : axis(0),
    dataZoom: [
      { type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseMove: true, filterMode: 'none' },
      { type: 'slider', height: 20, bottom: 10, filterMode: 'none', brushSelect: false,
        showDetail: false, borderColor: css('line'), fillerColor: 'rgb(18 86 106 / 10%)',
        backgroundColor: css('paper'), moveHandleSize: 0,
        handleStyle: { color: '#fff', borderColor: css('ink-3') },
        dataBackground: { lineStyle: { color: css('line-strong') }, areaStyle: { color: css('line') } },
        selectedDataBackground: { lineStyle: { color: css('ink-3') }, areaStyle: { color: css('line') } } },
    ],
    series,
  };
}

/** The values as a table, built when it is opened. */
function twin(options) {
  const table = document.createElement('table');
  table.className = 'table';
  const head = table.createTHead().insertRow();
  const cell = (row, name, content, className = '') => {
    const made = row.appendChild(document.createElement(name));
    made.textContent = content;
    if (className) made.className = className;
    if (name === 'th') made.scope = 'col';
  };
  cell(head, 'th', gettext('Time'));
  for (const s of options.series) {
    cell(head, 'th', s.unit ? `${s.name} (${s.unit})` : s.name, 'num');
    cell(head, 'th', gettext('Mark'));
  }
  const rows = new Map();
  options.series.forEach((s, number) => {
    for (const [time, value, flag] of s.data) {
      const at = millis(time);
      if (!rows.has(at)) rows.set(at, []);
      rows.get(at)[number] = [value, flag];
    }
  });
  const body = table.createTBody();
  for (const [time, values] of [...rows].sort((a, b) => b[0] - a[0])) {
    const row = body.insertRow();
    cell(row, 'td', text(time, options.exact), 'nowrap');
    options.series.forEach((s, number) => {
      const [value, flag] = values[number] || [];
      cell(row, 'td', format(value, s.decimals), 'num');
      cell(row, 'td', NORMAL.has(flag) ? '' : `${flag} ${(options.flags || {})[flag] || ''}`);
    });
  }
  return table;
}

export function lineChart(element, given) {
  let options = given;
  element.classList.add('chart');
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', options.label || options.series.map((s) => s.name).join(', '));
  const chart = echarts.init(element, null, { locale: language.startsWith('zh') ? 'ZH' : 'EN' });

  const foot = document.createElement('div');
  foot.className = 'chart-foot';
  const details = foot.appendChild(document.createElement('details'));
  details.className = 'chart-twin';
  details.appendChild(document.createElement('summary')).textContent = gettext('As a table');
  const wrap = details.appendChild(document.createElement('div'));
  wrap.className = 'table-wrap scroll';
  wrap.tabIndex = 0;
  wrap.setAttribute('role', 'region');
  const link = document.createElement('a');
  link.textContent = gettext('Download CSV');
  link.className = 'chart-csv';
  element.after(foot);

  const fill = () => {
    wrap.setAttribute('aria-label', element.getAttribute('aria-label'));
    wrap.replaceChildren(details.open ? twin(options) : '');
  };
  details.addEventListener('toggle', fill);

  function draw() {
    chart.setOption(option(options), { replaceMerge: ['series', 'yAxis'] });
    if (options.csv) {
      link.href = options.csv;
      foot.append(link);
    } else link.remove();
    fill();
  }
  chart.on('click', (event) => {
    if (!options.select || !event.value || event.value[3] === undefined) return;
    const series = options.series.find((s) => s.name === event.seriesName) || options.series[0];
    const [time, value, flag] = series.data[event.value[3]];
    options.select({ name: series.name, index: event.value[3], time: millis(time), value, flag });
  });
  // A click between the symbols selects the value nearest in time.
  chart.getZr().on('click', (event) => {
    if (event.target || !options.select || !chart.containPixel('grid', [event.offsetX, event.offsetY])) return;
    const at = chart.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
    const series = options.series[0];
    let best = -1;
    series.data.forEach(([time, value], index) => {
      if (value === null) return;
      if (best < 0 || Math.abs(wall(millis(time)) - at) < Math.abs(wall(millis(series.data[best][0])) - at)) best = index;
    });
    if (best < 0) return;
    const [time, value, flag] = series.data[best];
    options.select({ name: series.name, index: best, time: millis(time), value, flag });
  });
  const observer = new ResizeObserver(() => chart.resize());
  observer.observe(element);
  draw();

  return {
    update(more) {
      options = { ...options, ...more };
      draw();
    },
    dispose() {
      observer.disconnect();
      chart.dispose();
      foot.remove();
    },
  };
}
