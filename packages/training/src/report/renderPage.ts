import type { LineChart } from './chartTypes.ts';
import { escapeHtml } from './escapeHtml.ts';
import { significant } from './format.ts';
import { lineChart } from './lineChart.ts';
import { matrixOf, pictureOf, type Matrix, type Picture } from './pictures.ts';
import { stylesheet } from './stylesheet.ts';
import type { Tone } from './tone.ts';

/** Cell — a text of a table, or a number, which is rounded to four digits; `href` may be `#id` of a section. Or texts, one after the other. */
export type Cell = string | number | TonedText | { readonly parts: readonly (string | TonedText)[] };

/** A text that is meant in some way, and perhaps a link. */
type TonedText = { readonly text: string; readonly tone?: Tone; readonly href?: string };

/** Tile — a number that stands out, with its name and a word of explanation. */
export type Tile = { name: string; value: string; note?: string };

export type PageTable = {
  /** Headings of the columns; without them the first cell of each row heads it. */
  columns?: readonly string[];
  rows: readonly (readonly Cell[])[];
};

/** PageSection — a card of a page; shows what it is given, in the order of these properties. */
export type PageSection = {
  heading: string;
  /** For links to it: `#id`. */
  id?: string;
  /** A word or two beside the heading: `holds`. */
  badge?: { readonly text: string; readonly tone: Tone };
  /** Paragraphs. */
  text?: string | readonly string[];
  /** Sentences, one below the other. */
  list?: readonly (string | { readonly text: string; readonly tone: Tone })[];
  /** One over the whole width, or several two by two. */
  charts?: readonly LineChart[];
  matrix?: Matrix;
  pictures?: readonly Picture[];
  table?: PageTable;
  /** Text whose lines and spaces matter. */
  preformatted?: string;
  /** Smaller text below everything, for how it was measured. */
  note?: string;
};

export type Page = {
  title: string;
  /** One line below the title. */
  status?: string;
  tiles?: readonly Tile[];
  sections: readonly PageSection[];
  footer?: string;
};

/**
 * renderPage — one self-contained HTML page of tiles and cards with text, charts and tables: no scripts, no network, light or dark as the
 * reader's system is.
 *
 * @returns the page, every text escaped; the same for the same contents.
 */
export function renderPage({ title, status, tiles = [], sections, footer }: Page): string {
  return [
    '<!doctype html>', '<html lang="en">', '<head>', '<meta charset="utf-8">', '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}</title>`, `<style>${stylesheet}</style>`, '</head>', '<body>', '<main>',
    `<h1>${escapeHtml(title)}</h1>`,
    ...(status === undefined ? [] : [`<p class="status">${escapeHtml(status)}</p>`]),
    ...(tiles.length === 0 ? [] : ['<dl class="tiles">', ...tiles.map(tileOf), '</dl>']),
    ...sections.map(sectionOf),
    ...(footer === undefined ? [] : [`<footer>${escapeHtml(footer)}</footer>`]),
    '</main>', '</body>', '</html>', '',
  ].join('\n');
}

const tileOf = ({ name, value, note }: Tile): string =>
  `<div class="tile"><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}${note === undefined ? '' : `<small>${escapeHtml(note)}</small>`}</dd></div>`;

function sectionOf({ heading, id, badge, text = [], list = [], charts = [], matrix, pictures = [], table, preformatted, note }: PageSection): string {
  const paragraphs = typeof text === 'string' ? [text] : text;
  const mark = badge === undefined ? '' : `<span class="badge ${badge.tone}">${escapeHtml(badge.text)}</span>`;
  return [
    `<section${id === undefined ? '' : ` id="${escapeHtml(id)}"`}>`,
    `<header><h2>${escapeHtml(heading)}</h2>${mark}</header>`,
    ...paragraphs.map((each) => `<p>${escapeHtml(each)}</p>`),
    ...(list.length === 0 ? [] : [`<ul class="list">${list.map(itemOf).join('')}</ul>`]),
    ...chartsOf(heading, charts),
    ...(matrix === undefined ? [] : [matrixOf(matrix)]),
    ...(pictures.length === 0 ? [] : [`<div class="pictures">${pictures.map(pictureOf).join('')}</div>`]),
    ...(table === undefined ? [] : [tableOf(table)]),
    ...(preformatted === undefined ? [] : [`<pre>${escapeHtml(preformatted)}</pre>`]),
    ...(note === undefined ? [] : [`<p class="note">${escapeHtml(note)}</p>`]),
    '</section>',
  ].join('\n');
}

/** A single chart needs no title of its own where the heading says the same. */
function chartsOf(heading: string, charts: readonly LineChart[]): string[] {
  if (charts.length > 1) return ['<div class="charts">', ...charts.map((each) => lineChart({ width: 'half', ...each })), '</div>'];
  return charts.map((each) => lineChart({ showTitle: each.title !== heading, ...each }));
}

function itemOf(item: NonNullable<PageSection['list']>[number]): string {
  const { text, tone } = typeof item === 'string' ? { text: item, tone: 'plain' } : item;
  return `<li class="${tone}">${escapeHtml(text)}</li>`;
}

function tableOf({ columns, rows }: PageTable): string {
  const head = columns === undefined ? '' : `<thead><tr>${columns.map((each) => `<th scope="col">${escapeHtml(each)}</th>`).join('')}</tr></thead>\n`;
  const body = rows.map((cells) => `<tr>${cells.map((cell, i) => (i === 0 ? `<th scope="row">${cellOf(cell)}</th>` : `<td${toneOf(cell)}>${cellOf(cell)}</td>`)).join('')}</tr>`);
  return `<table${columns === undefined ? ' class="pairs"' : ''}>\n${head}<tbody>\n${body.join('\n')}\n</tbody>\n</table>`;
}

const toneOf = (cell: Cell): string => {
  const names = [typeof cell === 'number' ? 'number' : '', typeof cell === 'object' && 'text' in cell ? cell.tone ?? '' : ''].filter((each) => each !== '');
  return names.length === 0 ? '' : ` class="${names.join(' ')}"`;
};

function cellOf(cell: Cell): string {
  if (typeof cell !== 'object') return escapeHtml(typeof cell === 'number' ? significant(cell) : cell);
  if ('parts' in cell) return cell.parts.map((each) => (typeof each === 'object' && each.tone !== undefined ? `<span class="${each.tone}">${cellOf(each)}</span>` : cellOf(each))).join(' ');
  return cell.href === undefined ? escapeHtml(cell.text) : `<a href="${escapeHtml(cell.href)}">${escapeHtml(cell.text)}</a>`;
}
