// The check on the spot: the position where the browser allows it, a look at the chosen photos.

const form = document.getElementById('check');
const field = form.elements.position;
const where = document.getElementById('where');
const button = document.getElementById('locate');

function show() {
  const [longitude, latitude, accuracy] = field.value.split(',').map(Number);
  where.textContent = `${longitude.toFixed(5)}, ${latitude.toFixed(5)} (± ${Math.round(accuracy)} m)`;
}

if (!('geolocation' in navigator) || !window.isSecureContext) {
  button.disabled = true;
  where.textContent = gettext('This browser gives no position here; the check can be sent without it.');
} else {
  button.addEventListener('click', () => {
    where.textContent = gettext('Looking for the position …');
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        field.value = [coords.longitude, coords.latitude, coords.accuracy].map((v) => v.toFixed(6)).join(',');
        show();
      },
      () => { where.textContent = gettext('No position; the check can be sent without it.'); },
      { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 },
    );
  });
}
if (field.value) show();

const chosen = document.getElementById('chosen');
form.elements.photos.addEventListener('change', (event) => {
  for (const image of chosen.querySelectorAll('img')) URL.revokeObjectURL(image.src);
  chosen.replaceChildren(...Array.from(event.target.files, (file) => {
    const item = document.createElement('li');
    const image = item.appendChild(document.createElement('img'));
    image.alt = file.name;
    image.src = URL.createObjectURL(file);
    return item;
  }));
});
