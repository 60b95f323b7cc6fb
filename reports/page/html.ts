/** Mark-up that needs no more escaping. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** What may stand in a template: text is escaped, mark-up is not, lists are joined, and nothing is nothing. */
export type Content = string | number | Html | false | null | undefined | readonly Content[];

/** A template for HTML in which every value is escaped unless it is HTML itself. */
export function html(parts: TemplateStringsArray, ...values: Content[]): Html {
  return new Html(String.raw({ raw: parts }, ...values.map(markup)));
}

function markup(content: Content): string {
  if (content === false || content === null || content === undefined) return '';
  if (content instanceof Html) return content.text;
  if (Array.isArray(content)) return content.map(markup).join('');
  return escaped(String(content));
}

/** Text as HTML shows it, in an element or between double quotes. */
function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
