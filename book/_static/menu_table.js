/* The canteen of the introduction as a table to play with: take a dish off a day's menu, and see
   what a plain multinomial and one that knows the menus make of the counts. tests/site compares
   its numbers with PyMC's. */
"use strict";

const MenuTable = (() => {
  const DISHES = ["Pasta", "Curry", "Salad", "Soup"];
  const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
  const TRUTH = [0.4, 0.3, 0.2, 0.1];
  const GUESTS = 60;
  // Logits are Normal(0, 1.5) a priori; 89 % of a normal lie within this many deviations.
  const PRIOR_SD = 1.5;
  const Z = 1.5981931399228173;
  const SPACE = "\u00a0";
  const sum = (x) => x.reduce((a, b) => a + b, 0);

  /* Random numbers between 0 and 1 (mulberry32): the same everywhere for one seed. */
  function generator(seed) {
    let a = seed | 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
    };
  }

  /* What each guest of each day thinks of each dish. The guest takes the best that there is, so a
     dish that is taken off sends on only the guests who would have had it. */
  function utilities(seed) {
    const random = generator(seed);
    const guest = () => TRUTH.map((p) => Math.log(p) - Math.log(-Math.log(random())));
    return DAYS.map(() => Array.from({ length: GUESTS }, guest));
  }

  function countChoices(menus, wishes) {
    return menus.map((menu, i) => {
      const counts = DISHES.map(() => 0);
      if (menu.some(Boolean)) {
        for (const guest of wishes[i]) {
          const offered = guest.map((u, k) => (menu[k] ? u : -Infinity));
          counts[offered.indexOf(Math.max(...offered))] += 1;
        }
      }
      return counts;
    });
  }

  function softmax(logits, menu) {
    const top = Math.max(...logits.filter((_, k) => menu[k]));
    const e = logits.map((x, k) => (menu[k] ? Math.exp(x - top) : 0));
    return e.map((x) => x / sum(e));
  }

  /* Inverse of a symmetric, positive definite matrix, by Gauss and Jordan. */
  function inverse(matrix) {
    const n = matrix.length;
    const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => +(i === j))]);
    for (let i = 0; i < n; i++) {
      const pivot = rows[i][i];
      rows[i] = rows[i].map((x) => x / pivot);
      for (let j = 0; j < n; j++) {
        const factor = rows[j][i];
        if (j !== i) rows[j] = rows[j].map((x, c) => x - factor * rows[i][c]);
      }
    }
    return rows.map((row) => row.slice(n));
  }

  function slopeAndCurvature(logits, counts, menus) {
    const slope = logits.map((x) => -x / PRIOR_SD ** 2);
    const curvature = logits.map((_, j) => logits.map((_, k) => +(j === k) / PRIOR_SD ** 2));
    counts.forEach((row, i) => {
      const n = sum(row);
      if (n === 0) return;
      const p = softmax(logits, menus[i]);
      p.forEach((pj, j) => {
        slope[j] += row[j] - n * pj;
        p.forEach((pk, k) => { curvature[j][k] += n * pj * ((j === k) - pk); });
      });
    });
    return [slope, curvature];
  }

  function logPosterior(logits, counts, menus) {
    const prior = -sum(logits.map((x) => x * x)) / (2 * PRIOR_SD ** 2);
    return prior + sum(counts.map((row, i) => {
      if (sum(row) === 0) return 0;
      const p = softmax(logits, menus[i]);
      return sum(row.map((c, k) => (c ? c * Math.log(p[k]) : 0)));
    }));
  }

  /* Shares if every dish were there, with 89 % intervals: the posterior's mode, and the normal
     distribution of its curvature (Laplace's approximation) on the logit scale of each share. */
  function estimate(counts, menus) {
    let logits = DISHES.map(() => 0);
    for (let round = 0; round < 50; round++) {
      const [slope, curvature] = slopeAndCurvature(logits, counts, menus);
      const step = inverse(curvature).map((row) => sum(row.map((x, k) => x * slope[k])));
      const here = logPosterior(logits, counts, menus);
      let size = 1;
      const there = () => logits.map((x, k) => x + size * step[k]);
      while (size > 1e-6 && logPosterior(there(), counts, menus) < here) size /= 2;
      logits = there();
      if (Math.max(...step.map(Math.abs)) < 1e-10) break;
    }
    const covariance = inverse(slopeAndCurvature(logits, counts, menus)[1]);
    const share = softmax(logits, DISHES.map(() => true));
    return share.map((p, k) => {
      const towards = share.map((q, j) => ((j === k) - q) / (1 - p));
      const variance = sum(covariance.map((row, i) =>
        towards[i] * sum(row.map((x, j) => x * towards[j]))));
      const end = (z) => 1 / (1 + Math.exp(-Math.log(p / (1 - p)) - z * Math.sqrt(variance)));
      return { share: p, low: end(-Z), high: end(Z) };
    });
  }

  function start() {
    const menus = [[1, 1, 1, 1], [1, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1], [1, 0, 1, 1]];
    return { seed: 1, menus: menus.map((menu) => menu.map(Boolean)) };
  }

  function answer(state) {
    const counts = countChoices(state.menus, utilities(state.seed));
    const full = state.menus.map((menu) => menu.map(() => true));
    return { counts, plain: estimate(counts, full), masked: estimate(counts, state.menus) };
  }

  const percent = (x) => (100 * x).toFixed(0);
  const told = (e) => `${percent(e.share)}${SPACE}% (${percent(e.low)} to ${percent(e.high)})`;

  function cell(state, counts, i, k, live) {
    const on = state.menus[i][k];
    const text = on ? counts[i][k] : "off";
    if (!live) return `<td><span class="cell${on ? "" : " off"}">${text}</span></td>`;
    return `<td><button type="button" class="cell${on ? "" : " off"}" data-cell="${i},${k}" ` +
      `aria-pressed="${on}" aria-label="${text}: ${DISHES[k]} on ${DAYS[i]}">${text}</button></td>`;
  }

  function strip(name, k, plain, masked, top) {
    const at = (x) => `${Math.min(100 * x / top, 100).toFixed(2)}%`;
    const bar = (kind, e) =>
      `<span class="bar ${kind}" style="left:${at(e.low)};right:calc(100% - ${at(e.high)})"></span>` +
      `<span class="dot ${kind}" style="left:${at(e.share)}"></span>`;
    return `<li><b>${name}</b><span class="track" aria-hidden="true">` +
      `<span class="truth" style="left:${at(TRUTH[k])}"></span>` +
      `${bar("plain", plain)}${bar("masked", masked)}</span>` +
      `<small>truth ${percent(TRUTH[k])}${SPACE}%, <span class="plain">plain ${told(plain)}</span>, ` +
      `<span class="masked">knows the menu ${told(masked)}</span></small></li>`;
  }

  /* The whole as HTML; `live` with buttons. The page holds it without, for those without scripts. */
  function html(state, live) {
    const { counts, plain, masked } = answer(state);
    const inside = (e, k) => e.low <= TRUTH[k] && TRUTH[k] <= e.high;
    const hits = (found) => found.filter(inside).length;
    const top = Math.max(...[...plain, ...masked].map((e) => e.high)) > 0.6 ? 1 : 0.6;
    const head = DISHES.map((dish) => `<th scope="col">${dish}</th>`).join("");
    const rows = DAYS.map((day, i) => `<tr><th scope="row">${day.slice(0, 3)}</th>` +
      DISHES.map((_, k) => cell(state, counts, i, k, live)).join("") + "</tr>").join("\n");
    const strips = DISHES.map((d, k) => strip(d, k, plain[k], masked[k], top)).join("\n");
    const ticks = [0, 1, 2, 3].map((t) => `<span style="left:${(100 * t / 3).toFixed(1)}%">` +
      `${percent(t * top / 3)}${SPACE}%</span>`).join("");
    const todo = live ? " Press a number to take the dish off that day's menu, or back on." : "";
    return `<table><caption>What ${GUESTS} guests a day took.${todo}</caption>
<thead><tr><td></td>${head}</tr></thead>
<tbody>${rows}</tbody></table>
` + (live ? `<p class="do"><button type="button" data-do="draw">Other guests</button>
<button type="button" data-do="reset">First menus</button></p>
` : "") + `<ul>
${strips}
</ul>
<p class="axis" aria-hidden="true">${ticks}</p>
<p class="say"${live ? ' aria-live="polite"' : ""}>The 89${SPACE}% intervals of the plain multinomial ` +
      `contain the truth for ${hits(plain)} of ${DISHES.length} dishes, those of the model that ` +
      `knows the menu for ${hits(masked)}.</p>`;
  }

  function play(box) {
    let state = start();
    const show = (focus) => {
      box.innerHTML = html(state, true);
      if (focus) box.querySelector(focus).focus();
    };
    box.addEventListener("click", (event) => {
      const { cell: place, do: act } = event.target.dataset;
      if (place) {
        const [i, k] = place.split(",").map(Number);
        state.menus[i][k] = !state.menus[i][k];
        show(`[data-cell="${place}"]`);
      } else if (act) {
        state = act === "draw" ? { ...state, seed: state.seed + 1 } : start();
        show(`[data-do="${act}"]`);
      }
    });
    show();
  }

  return { DISHES, DAYS, TRUTH, GUESTS, start, utilities, countChoices, estimate, answer, html, play };
})();

if (typeof module === "object") module.exports = MenuTable;
else document.querySelectorAll(".menu-table").forEach(MenuTable.play);
