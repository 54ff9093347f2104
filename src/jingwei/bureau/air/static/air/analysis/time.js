// Time plot, variation with intervals, calendar.

import { lineChart } from '../../console/chart.js';
import { INK, SHADES, css, draw, ink, narrow, read, tip } from './draw.js';

const pictures = read('pictures');
const LEVELS = [1, 2, 3, 4, 5, 6];

if (pictures.series) lineChart(document.getElementById('series'), pictures.series);

/** Means with the band of their interval over the places of a cycle. */
function cycle(given) {
  const series = given.series.flatMap((s, n) => {
    const colour = INK[n % INK.length];
    const width = s.high.map((h, k) => (h === null ? null : h - s.low[k]));
    const band = { type: 'line', stack: `band${n}`, symbol: 'none', silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false } };
    return [
      { ...band, data: s.low },
      { ...band, data: width, areaStyle: { color: colour, opacity: 0.2 } },
      { type: 'line', name: s.name, data: s.mean, symbolSize: 5, symbol: 'circle', itemStyle: { color: colour }, lineStyle: { color: colour, width: 1.6 } },
    ];
  });
  return {
    grid: { left: 8, right: 12, top: given.series.length > 1 ? 52 : 30, bottom: 8, containLabel: true },
    legend: { show: given.series.length > 1, top: 0, right: 0, data: given.series.map((s) => s.name), icon: 'roundRect', itemHeight: 3, itemWidth: 14, textStyle: ink() },
    tooltip: {
      ...tip(), trigger: 'axis',
      formatter: (items) => [given.places[items[0].dataIndex], ...given.series.map((s) => {
        const k = items[0].dataIndex;
        return s.mean[k] === null ? `${s.name}  –` : `${s.name}  ${s.mean[k]} (${s.low[k]}–${s.high[k]}) ${s.unit}  n ${s.count[k]}`;
      })].join('\n'),
    },
    xAxis: { type: 'category', data: given.places, axisLabel: { ...ink(), hideOverlap: true }, axisTick: { show: false }, axisLine: { lineStyle: { color: css('line-strong') } } },
    yAxis: { type: 'value', name: given.unit, scale: true, nameTextStyle: { ...ink(), align: 'left' }, axisLabel: ink(), splitLine: { lineStyle: { color: css('line') } } },
    series,
  };
}

/** Days as cells, the weeks as columns, on a phone as rows; of a few weeks with their values. */
function days(given, weeks, width) {
  const upright = narrow();
  const values = given.data.map((d) => d[1]);
  const pieces = LEVELS.map((n) => ({ value: n, color: css(`aqi-${n}`) }));
  const side = Math.min(44, Math.max(12, (width - 60) / Math.max(weeks, 1)));
  return {
    tooltip: { ...tip(), formatter: ({ value }) => `${value[0]}\n${value[1]} ${given.unit}` },
    visualMap: given.rated
      ? { type: 'piecewise', dimension: 2, pieces, show: false }
      : { type: 'continuous', dimension: 1, min: Math.min(...values), max: Math.max(...values), inRange: { color: SHADES.slice(0, 4) }, show: false },
    calendar: {
      orient: upright ? 'vertical' : 'horizontal', range: given.range, top: upright ? 34 : 30, left: upright ? 44 : 50,
      cellSize: upright ? [Math.min(42, (width - 52) / 7), 26] : [side, 27],
      splitLine: { lineStyle: { color: css('ink-3'), width: 1 } }, itemStyle: { color: css('sunken'), borderColor: css('surface'), borderWidth: 2 },
      dayLabel: { firstDay: 1, nameMap: given.weekdays, ...ink() }, monthLabel: { nameMap: given.months, ...ink() }, yearLabel: { show: false },
    },
    series: [{
      type: 'heatmap', coordinateSystem: 'calendar',
      data: given.data.map((d) => ({ value: d, label: { color: d[2] >= 4 ? '#fff' : css('ink') } })),
      label: {
        show: upright || side > 34, fontSize: 11, formatter: ({ value }) => `${Number(value[1].toPrecision(3))}`,
      },
    }],
  };
}

document.querySelectorAll('[data-cycle]').forEach((element) => {
  const given = pictures.cycles[Number(element.dataset.cycle)];
  draw(element, given.label, () => cycle(given));
});
document.querySelectorAll('[data-calendar]').forEach((element) => {
  const given = pictures.calendars[Number(element.dataset.calendar)];
  const weeks = Math.ceil((Date.parse(given.range[1]) - Date.parse(given.range[0])) / 604800000) + 1;
  if (narrow()) element.style.height = `${44 + 26 * weeks}px`;
  draw(element, given.label, () => days(given, weeks, element.clientWidth));
});
