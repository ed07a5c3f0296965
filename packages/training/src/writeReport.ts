import { atomicWriteFile } from '@evenkeel/checkpoint';
import { renderReport, type ReportOptions } from './report/renderReport.ts';

/**
 * writeReport — `renderReport` into a file such as `report.html`, atomically.
 *
 * @throws ConfigError       if the file cannot be written.
 * @throws UnsupportedError  outside Node.
 */
export async function writeReport(path: string, options: ReportOptions): Promise<void> {
  await atomicWriteFile(path, renderReport(options));
}
