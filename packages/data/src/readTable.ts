import { ConfigError } from '@evenkeel/core-tensor';
import { checkIsFile, nodeModules, onFile } from './nodeFs.ts';
import { readText } from './readText.ts';

/** TableRow — the fields of one row, in the order of the columns, and the line on which it stands in its file, from 1; `nested`: which fields are lists or objects, as JSON. */
export type TableRow = { readonly fields: readonly string[]; readonly line: number; readonly nested?: readonly number[] };

/** Table — `columns` are absent where the file does not name them. */
export type Table = { readonly path: string; readonly columns?: readonly string[]; readonly rows: readonly TableRow[] };

export type ReadTableOptions = {
  /** Whether the first row of CSV and TSV names the columns. Default: it does if one of its fields is one of these, in any case. */
  header?: boolean | readonly string[];
};

/**
 * readTable — the rows of a file by its ending: `.csv` (RFC 4180, with quotes), `.tsv` and others (fields between tabs, quotes are text as any
 * other), `.jsonl` (an object a line), `.json` (a list of objects, or one of `data`). All values become texts, and null an empty one.
 *
 * @throws ConfigError  if the file cannot be read or has no rows, or a row has other fields than the first one, or two columns have one name; names file and line.
 */
export async function readTable(path: string, { header = [] }: ReadTableOptions = {}): Promise<Table> {
  const { path: paths } = nodeModules('readTable');
  checkIsFile('readTable', path);
  const ending = paths.extname(path).toLowerCase();
  const text = await readText(path);
  const table = ending === '.json' ? fromObjects(path, listIn(path, parsed(path, text)).map((value, i) => ({ value, line: i + 1 })), 'element')
    : ending === '.jsonl' || ending === '.ndjson' ? fromObjects(path, linesOf(text).map(({ line, fields: [content = ''] }) => ({ value: parsed(path, content, line), line })), 'line')
    : withHeader(path, ending === '.csv' ? await csvRows(path, text) : linesOf(text, '\t'), header);
  if (table.rows.length === 0) throw new ConfigError(`readTable: ${path} must have rows, got none`);
  return table;
}

async function csvRows(path: string, text: string): Promise<TableRow[]> {
  const { parse, CsvError } = await import('csv-parse/sync');
  try {
    const records = parse(text, { info: true, skip_empty_lines: true, relax_column_count: true }) as unknown as { record: string[]; info: { lines: number } }[];
    const breaksIn = (fields: readonly string[]): number => fields.reduce((sum, field) => sum + field.split('\n').length - 1, 0);
    return records.map(({ record, info }) => ({ fields: record, line: info.lines - breaksIn(record) }));
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new ConfigError(`readTable: ${path} must be CSV, got on line ${String((error as { lines?: number }).lines)}: ${error.message}`, { cause: error });
  }
}

/** The lines that are not empty; a carriage return before the line feed is none of the text. */
function linesOf(text: string, separator?: string): TableRow[] {
  return text.split('\n').flatMap((line, i) => {
    const content = line.endsWith('\r') ? line.slice(0, -1) : line;
    return content.trim() === '' ? [] : [{ fields: separator === undefined ? [content] : content.split(separator), line: i + 1 }];
  });
}

function withHeader(path: string, rows: TableRow[], header: NonNullable<ReadTableOptions['header']>): Table {
  const [first, ...rest] = rows;
  if (first === undefined) return { path, rows };
  const isNamed = typeof header === 'boolean' ? header : first.fields.some((field) => header.includes(field.trim().toLowerCase()));
  const stray = rows.find(({ fields }) => fields.length !== first.fields.length);
  if (stray !== undefined) throw new ConfigError(`readTable: ${path} must have ${first.fields.length} fields in each row like the first, got ${stray.fields.length} on line ${stray.line}${separatorHint(path, first.fields)}`);
  if (!isNamed) return { path, rows };
  const columns = first.fields.map((name) => name.trim());
  const twice = columns.find((name, i) => name !== '' && columns.indexOf(name) < i);
  if (twice !== undefined) throw new ConfigError(`readTable: ${path} must have columns of different names, got ${twice} twice`);
  return { path, columns, rows: rest };
}

/** separatorHint — what to say of a first row that is one field, where it seems to have others between separators that are not those of its format; else nothing. */
export function separatorHint(path: string, fields: readonly string[]): string {
  const isCsv = path.toLowerCase().endsWith('.csv');
  const other = fields.length === 1 ? [';', isCsv ? '\t' : ','].find((each) => fields[0]?.includes(each)) : undefined;
  return other === undefined ? '' : `; its fields must have ${isCsv ? 'commas' : 'tabs'} between them, the first line has ${other === '\t' ? 'tabs' : `"${other}"`}`;
}

/** JSON on a line of its file; the reason names the column alone, since V8 counts lines within the text. */
function parsed(path: string, text: string, line?: number): unknown {
  return onFile('readTable', path, line === undefined ? 'JSON' : `JSON on line ${line}`, () => {
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      throw line === undefined ? error : new SyntaxError((error as Error).message.replace(/ at position \d+ \(line 1 column (\d+)\)/, ' at column $1'), { cause: error });
    }
  });
}

function listIn(path: string, json: unknown): unknown[] {
  const list = Array.isArray(json) ? json : (json as { data?: unknown } | null)?.data;
  if (!Array.isArray(list)) throw new ConfigError(`readTable: ${path} must be a list of objects, or have one called data, got ${json === null ? 'null' : typeof json}`);
  return list;
}

function fromObjects(path: string, objects: readonly { value: unknown; line: number }[], noun: string): Table {
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
  const columns = Object.keys((isObject(objects[0]?.value) ? objects[0].value : {}));
  const rows = objects.map(({ value, line }) => {
    if (!isObject(value)) throw new ConfigError(`readTable: ${path} must hold objects, got ${Array.isArray(value) ? 'a list' : String(value)} in ${noun} ${line}`);
    const missing = columns.find((name) => !(name in value));
    if (missing !== undefined) throw new ConfigError(`readTable: ${path} must have ${missing} in each object like the first, got ${Object.keys(value).join(', ') || 'nothing'} in ${noun} ${line}`);
    const values = columns.map((name) => value[name] ?? '');
    const nested = [...values.keys()].filter((i) => typeof values[i] === 'object');
    return { line, fields: values.map((each) => (typeof each === 'string' ? each : JSON.stringify(each))), ...(nested.length > 0 && { nested }) };
  });
  return { path, columns, rows };
}
