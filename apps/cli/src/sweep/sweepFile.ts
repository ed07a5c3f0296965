import { Command, type Option } from 'commander';
import { readJsonFile } from '@evenkeel/checkpoint';
import { UsageError } from '../errors.ts';
import { isObject, type Fields } from '../fields.ts';
import { flagsFromWords } from './flagsFromWords.ts';
import { sweepFlags } from './sweepFlags.ts';
import { technique, techniqueCommand, type Technique } from './technique.ts';

/** What a file cannot say: where it is, and how the command speaks. */
const NOT_IN_A_FILE = ['config', 'resume'];

/**
 * readSweepFile — the flags in a configuration file, by option name: `{ "learningRates": [1e-3, 1e-2], "vary": { "qk-norm": { "qkNorm": true } }, "steps": 100 }`.
 *
 * @throws ConfigError  if it cannot be read or is no JSON.
 * @throws UsageError   naming the key that is not known or whose value is wrong.
 */
export async function readSweepFile(path: string): Promise<Record<string, unknown>> {
  const json = await readJsonFile(path);
  if (!isObject(json)) throw new UsageError(`${path} must hold one JSON object, got ${Array.isArray(json) ? 'a list' : JSON.stringify(json)?.slice(0, 60)}`);
  const { vary, ...others } = json;
  const command = sweepFlags(new Command());
  const flags = flagsFromFields(command, others, path);
  return vary === undefined ? flags : { ...flags, vary: techniquesIn(vary, path) };
}

function techniquesIn(vary: unknown, path: string): Technique[] {
  if (!isObject(vary)) throw new UsageError(`${path}: vary must be an object with the flags of each technique by its name, got ${JSON.stringify(vary)?.slice(0, 60)}`);
  return Object.entries(vary).map(([name, fields]) => {
    const where = `${path}: vary.${name}`;
    if (!isObject(fields)) throw new UsageError(`${where} must be an object of flags, got ${JSON.stringify(fields)?.slice(0, 60)}`);
    const command = techniqueCommand();
    return named(() => technique(name, wordsOf(command, fields, where), where), command);
  });
}

function flagsFromFields(command: Command, fields: Fields, where: string): Record<string, unknown> {
  return named(() => flagsFromWords(command, wordsOf(command, fields, where), where), command);
}

/** The fields as the words of a command line, which has all the checks. */
function wordsOf(command: Command, fields: Fields, where: string): string[] {
  const options = command.options.filter((option) => !NOT_IN_A_FILE.includes(option.attributeName()));
  return Object.entries(fields).flatMap(([name, value]) => {
    const option = options.find((each) => each.attributeName() === name);
    if (option === undefined) throw new UsageError(`${where} must have keys among ${options.map((each) => each.attributeName()).join(', ')}, got ${name}`);
    return wordOf(option, value, `${where}: ${name}`);
  });
}

function wordOf(option: Option, value: unknown, where: string): string[] {
  if (typeof value === 'boolean' && !option.required) return value ? [option.long as string] : [];
  if (option.isBoolean()) throw new UsageError(`${where} must be true or false, got ${JSON.stringify(value)?.slice(0, 60)}`);
  const isPlain = (each: unknown): boolean => typeof each === 'number' || typeof each === 'string';
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (!list.every(isPlain)) throw new UsageError(`${where} must be a number, a text or a list of numbers, got ${JSON.stringify(value)?.slice(0, 60)}`);
  return [`${option.long}=${list.join(',')}`];
}

/** What `parse` gives; an error names the keys of the file, not the flags of the command line. */
function named<T>(parse: () => T, { options }: Command): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(options.reduce((text, option) => text.replaceAll(`${option.long} must`, `${option.attributeName()} must`), error.message));
  }
}
