// A form that came back with errors stands under the address of its act; give it the address of
// its page again, so that reloading shows the page and the browser's draft finds its form.
// Loaded before console.js.

const address = document.querySelector('meta[name="page-address"]');
if (address) history.replaceState(null, '', address.content);
