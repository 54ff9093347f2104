// The form: what does not matter for the choice made is hidden; the usual losses follow the pollutant.

const form = document.getElementById('disperse');
const value = (name) => form.elements.namedItem(name).value;
const field = (name) => form.querySelector(`[data-field="${name}"]`);
const show = (name, shown) => { field(name).hidden = !shown; };

function arrange() {
  const past = value('period') === 'past';
  show('start', past);
  show('end', past);
  const which = value('which');
  for (const name of ['industry', 'region', 'outlets']) show(name, which === name);
  const weather = value('weather');
  show('file', weather !== 'stations');
  show('names', weather === 'grid');
  const sulfur = value('factor') === 'a21026';
  show('deposition', sulfur);
  show('washout', !['a21004', 'a21005'].includes(value('factor')));
  show('rain_mm', !field('washout').hidden && form.elements.namedItem('washout').checked);
}

form.addEventListener('change', (event) => {
  if (event.target.name === 'factor') {
    const sulfur = event.target.value === 'a21026';
    form.elements.namedItem('half_life').value = sulfur ? '4' : '';
    form.elements.namedItem('deposition').checked = sulfur;
  }
  arrange();
});
arrange();
form.dataset.ready = '';
