// Shows what the table gives for the choices of the proposal's form before it is sent.
const place = document.querySelector("[data-computation]");
const form = document.querySelector("#act-propose form");
if (place && form) {
  const result = place.querySelector("[data-result]");
  let last = 0;
  const refresh = async () => {
    const mine = ++last;
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (name.startsWith("grades_") || name === "circumstances" || name === "share") {
        query.append(name, value);
      }
    }
    result.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(`${place.dataset.computation}?${query}`, {
        credentials: "same-origin",
        headers: { "X-Requested-With": "fetch" },
      });
      if (answer.ok && mine === last) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        result.replaceChildren(...page.body.childNodes);
      }
    } finally {
      if (mine === last) {
        result.removeAttribute("aria-busy");
      }
    }
  };
  result.setAttribute("aria-live", "polite");
  form.addEventListener("change", refresh);
}
