// What the pictures of analysis share: a chart that says what it shows and follows its place.

import * as echarts from '../../vendor/echarts/echarts.mjs';
import { language } from '../../console/time.js';

export { echarts };
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
export const INK = ['#12566a', '#99600f', '#5c4a86', '#4f5a5f'];
export const SHADES = ['#e4f0f2', '#b9d9df', '#84bac6', '#4f97a8', '#1f6f84', '#0b4656'];
export const ink = () => ({ color: css('ink-3'), fontFamily: css('font'), fontSize: 12 });
export const read = (id) => JSON.parse(document.getElementById(id).textContent);
export const narrow = () => window.innerWidth < 640;
export const tip = () => ({
  renderMode: 'richText', confine: true, padding: [8, 12], backgroundColor: '#fff',
  borderColor: css('line-strong'), borderWidth: 1,
  textStyle: { color: css('ink'), fontSize: 12, fontFamily: css('font'), lineHeight: 18 },
});

/** Draw `option()` into an element; drawn again when its width changes. */
export function draw(element, label, option, renderer = 'svg') {
  element.setAttribute('role', 'img');
  element.setAttribute('aria-label', label);
  const chart = echarts.init(element, null, { renderer, locale: language.startsWith('zh') ? 'ZH' : 'EN' });
  const show = () => chart.setOption({ animation: false, textStyle: ink(), ...option() }, true);
  let width = element.clientWidth;
  new ResizeObserver(() => {
    if (element.clientWidth === width) return;
    width = element.clientWidth;
    chart.resize();
    show();
  }).observe(element);
  show();
  return { chart, show };
}
