// Sends what the phone keeps, in order, until the server has confirmed all of it.
//
// Everything has an identifier or a version, so whatever is sent twice counts once. Answers go
// first, then photos one by one, then the signed end.

import { all, alter, forget, get, put } from './store.js';

const AGAIN = 10_000; // milliseconds between tries

export class Queue {
  /** `addresses`: answers, photos, finish, state. `accepted(row)`: whether an answer is complete,
   *  one that is not waits. `told()` is called after every change. */
  constructor(user, owner, addresses, accepted, told) {
    Object.assign(this, { owner, addresses, accepted, told });
    // The login may be another's by now: the server compares.
    this.headers = { Accept: 'application/json', 'X-Page-User': user };
    this.problem = '';
    this.login = false;
    this.reached = navigator.onLine;
    this.running = false;
    window.addEventListener('online', () => this.pump());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.pump(); });
    setInterval(() => this.pump(), AGAIN);
  }

  /** Send what waits. Only one window of the browser does it at a time. */
  async pump() {
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      do {
        this.again = false;
        if (navigator.locks) {
          await navigator.locks.request(`send ${this.owner}`, () => this.#run());
        } else await this.#run();
      } while (this.again);
    } finally {
      this.running = false;
      this.told();
    }
  }

  async #run() {
    try {
      await this.#answers();
      await this.#photos();
      await this.#finish();
    } catch (error) {
      if (!(error instanceof Stop)) throw error;
    }
  }

  /** POST; the JSON that came back with its status. Throws `Stop` where nothing can be sent now. */
  async #post(address, body) {
    let answer;
    try {
      answer = await fetch(address, {
        method: 'POST',
        body,
        headers: { ...this.headers, 'X-CSRFToken': cookie('csrftoken') },
      });
    } catch {
      this.reached = false;
      throw new Stop();
    }
    this.reached = true;
    this.login = answer.redirected || answer.status === 401;
    let said = null;
    try { said = await answer.json(); } catch { /* a page, not an answer to this */ }
    if (said === null || ![200, 409, 422].includes(answer.status)) {
      if (!this.login) this.problem = gettext('The server did not take it (%s). It stays on this phone and is sent again.').replace('%s', answer.status);
      throw new Stop();
    }
    this.problem = said.error || '';
    if (said.other) throw new Stop(); // another's login: all of it waits for its writer
    if (said.sheet) await this.take(said.sheet);
    return { status: answer.status, said };
  }

  async #answers() {
    const rows = (await all('answers', this.owner))
      .filter((r) => ['kept', 'sent'].includes(r.state) && this.accepted(r));
    if (!rows.length) return;
    await Promise.all(rows.map((row) => this.#mark('answers', [row.owner, row.item], row, 'sent')));
    this.told();
    let status; let said;
    try {
      const body = rows.map(({ item, value, note, base, at }) => ({ item, value, note, base, at }));
      ({ status, said } = await this.#post(this.addresses.answers, JSON.stringify({ answers: body })));
    } catch (error) {
      await Promise.all(rows.map((row) => this.#mark('answers', [row.owner, row.item], row, 'kept')));
      throw error;
    }
    for (const row of rows) {
      const theirs = said.sheet?.answers[row.item];
      await alter('answers', [row.owner, row.item], (now) => {
        if (!now) return null;
        const same = now.value === row.value && now.note === row.note;
        if (status === 200 && said.conflicts.includes(row.item)) return { ...now, state: 'conflict', theirs };
        if (status === 200) {
          if (!same) this.again = true; // changed again while it was on its way
          return { ...now, base: theirs.version, state: same ? 'confirmed' : 'kept' };
        }
        // Of a batch with what is no answer the server takes nothing, and names what it is.
        if (status === 422 && !(said.items?.includes(row.item) && same)) return { ...now, state: 'kept' };
        return { ...now, state: 'refused', why: said.error };
      });
    }
    if (said.items?.length) this.again = true; // the others, without those
    if (status !== 200) throw new Stop();
  }

  async #photos() {
    const rows = (await all('photos', this.owner)).filter((r) => ['kept', 'sent'].includes(r.state));
    for (const row of rows) {
      await this.#mark('photos', row.uid, row, 'sent');
      this.told();
      const form = new FormData();
      for (const name of ['uid', 'item', 'sha256', 'taken', 'position']) form.append(name, row[name] ?? '');
      form.append('file', row.blob, `${row.uid}.jpg`);
      try {
        const { status, said } = await this.#post(this.addresses.photos, form);
        const right = status === 200 && said.sha256 === row.sha256;
        await alter('photos', row.uid, (now) => ({ ...now, state: right ? 'confirmed' : 'refused', why: said.error }));
      } catch (error) {
        await this.#mark('photos', row.uid, row, 'kept');
        throw error;
      }
    }
  }

  async #finish() {
    const kept = await get('sheets', this.owner);
    if (!kept?.finish) return;
    const waiting = [...await all('answers', this.owner), ...await all('photos', this.owner)];
    if (waiting.some((row) => row.state !== 'confirmed')) return;
    const { status, said } = await this.#post(this.addresses.finish, JSON.stringify(kept.finish.body));
    if (status === 200) {
      await forget(this.owner);
      this.finished = said.record;
    } else {
      await alter('sheets', this.owner, (row) => ({
        ...row, finish: null, signatures: {}, why: said.error,
      }));
    }
  }

  async #mark(store, key, row, state) {
    await alter(store, key, (now) => (
      now && ['kept', 'sent'].includes(now.state) && (state === 'sent' || now.state === 'sent')
        ? { ...now, state } : null
    ));
  }

  /** Take over what the server has now, where nothing of this phone's own waits. */
  async take(sheet) {
    for (const [item, theirs] of Object.entries(sheet.answers)) {
      const key = [this.owner, item];
      await alter('answers', key, (mine) => {
        if (mine && mine.state !== 'confirmed') {
          return mine.state === 'conflict' ? { ...mine, theirs } : null;
        }
        if (mine && mine.base >= theirs.version) return null; // a page kept earlier knows less
        return {
          owner: this.owner, item, value: theirs.value, note: theirs.note, by: theirs.by,
          base: theirs.version, at: '', state: 'confirmed',
        };
      });
    }
    const row = await get('sheets', this.owner);
    await put('sheets', { signatures: {}, ...row, owner: this.owner, sheet });
  }

  /** Ask what the server has now. */
  async refresh() {
    try {
      const answer = await fetch(this.addresses.state, { headers: this.headers });
      this.reached = true;
      this.login = answer.redirected;
      if (answer.ok && !answer.redirected) await this.take((await answer.json()).sheet);
    } catch {
      this.reached = false;
    }
    this.told();
  }
}

class Stop extends Error {}

function cookie(name) {
  return document.cookie.split('; ').find((c) => c.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
}
