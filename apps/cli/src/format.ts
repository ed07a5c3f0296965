/** formatCount — a whole number in groups of three digits: `813,952`. By hand, since the locale library takes 40 ms to load. */
export function formatCount(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** counted — how many of something: `1 row`, `1,200 rows`. */
export const counted = (count: number, noun: string): string => `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;

/** percent — a share: `12.3 %`, `< 0.1 %`. */
export const percent = (share: number): string => (share > 0 && share < 0.001 ? '< 0.1 %' : `${(100 * share).toFixed(1)} %`);

/** formatShort — a rate in at most five characters: `812`, `9.4k`, `41k`, `1.2M`. */
export function formatShort(value: number): string {
  const [scaled, unit] = value >= 1e6 ? [value / 1e6, 'M'] : value >= 1e3 ? [value / 1e3, 'k'] : [value, ''];
  return `${unit !== '' && scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)}${unit}`;
}

/** formatDuration — `42s`, `3m05s`, `1h20m`; `--` for what is not known yet. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '--';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')}m`;
}

/** formatBytes — binary units: `512 B`, `3.4 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit] as string}`;
}

/** wrap — a label and a text beside it in lines of at most 80 columns; words longer than a line stay whole. */
export function wrap(label: string, text: string, width = 80): string[] {
  const indent = ' '.repeat(label.length);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && label.length + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each, i) => (i === 0 ? label : indent) + each);
}

/** printable — a model's text for a terminal: control characters other than line breaks and tabs are made visible. */
export function printable(text: string): string {
  return text.replace(/\r\n/g, '\n').replace(/[^\P{Cc}\n\t]/gu, '\uFFFD');
}
