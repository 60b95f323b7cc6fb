// What makes the page easier to use; without it everything is there to read, unfiltered.
const filters = document.querySelector('#filters');
const rows = [...document.querySelectorAll('.matrix tr[id]')];
const shown = document.querySelector('#shown');

/** The values chosen in a group of boxes; none means all. */
const chosen = (name) => new FormData(filters).getAll(name);

/** Hides the rows that were not asked for, says how many are left, and puts the choice into the address. */
function filter() {
  const [verdicts, levels, areas] = ['verdict', 'level', 'area'].map(chosen);
  const words = filters.find.value.toLowerCase().split(/\s+/).filter(Boolean);
  const admits = (list, values) => list.length === 0 || values.some((value) => list.includes(value));
  let left = 0;
  for (const row of rows) {
    const head = row.querySelector('summary').textContent.toLowerCase();
    row.hidden = !(
      admits(verdicts, row.dataset.verdict.split(' ')) &&
      admits(levels, [row.dataset.level]) &&
      admits(areas, [row.parentElement.dataset.area]) &&
      words.every((word) => head.includes(word))
    );
    if (!row.hidden) left += 1;
  }
  for (const area of document.querySelectorAll('.matrix tbody'))
    area.hidden = [...area.querySelectorAll('tr[id]')].every((row) => row.hidden);
  shown.textContent = `${left} of ${rows.length} clauses shown.`;
  const choice = new URLSearchParams(new FormData(filters));
  if (!filters.find.value) choice.delete('find');
  history.replaceState(null, '', choice.size > 0 ? `#${choice}` : location.pathname + location.search);
}

/** Follows the address: a choice such as #verdict=fail, or a clause, which is then shown and opened. */
function follow() {
  const target = decodeURIComponent(location.hash.slice(1));
  const row = document.getElementById(target);
  if (row?.matches('.matrix tr')) {
    if (row.hidden) {
      filters.reset();
      filter();
    }
    row.querySelector('details').open = true;
    row.scrollIntoView();
    row.querySelector('summary').focus();
  } else if (target.includes('=')) {
    const choice = new URLSearchParams(target);
    for (const box of filters.querySelectorAll('[type=checkbox]'))
      box.checked = choice.getAll(box.name).includes(box.value);
    filters.find.value = choice.get('find') ?? '';
    filter();
    document.querySelector('#clauses').scrollIntoView();
  }
}

if (filters) {
  filters.hidden = false;
  filters.addEventListener('input', filter);
  filters.addEventListener('submit', (event) => event.preventDefault());
  // The boxes are empty only after the event.
  filters.addEventListener('reset', () => setTimeout(filter));
  addEventListener('hashchange', follow);
  follow();
}

for (const button of document.querySelectorAll('[data-copy]')) {
  // Browsers let only pages from safe places write to the clipboard.
  if (!navigator.clipboard) break;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = 'Copied';
  });
}
