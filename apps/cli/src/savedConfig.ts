import { ConfigError } from '@evenkeel/core-tensor';
import { gptConfig, type GptConfig } from '@evenkeel/models-gpt';
import { isBoolean, isOneOf, wrongField, type Fields, type Test } from './fields.ts';
import { NORMS, PLACEMENTS } from './techniqueNames.ts';
import type { ModelTechniques } from './techniques.ts';

/** MODEL_TYPE — in a `config.json` of ours that is no GPT-2. */
export const MODEL_TYPE = 'evenkeel-gpt';

type Saved = { readonly config: GptConfig; readonly techniques: ModelTechniques };

/** savedConfig — the `config.json` of a model that GPT-2's cannot describe. */
export function savedConfig(config: GptConfig, { placement, norm, qkNorm }: ModelTechniques): object {
  return { model_type: MODEL_TYPE, format: 1, ...config, techniques: { placement, norm, qkNorm } satisfies ModelTechniques };
}

const TECHNIQUES: Readonly<Record<keyof ModelTechniques, Test>> = { placement: isOneOf(PLACEMENTS), norm: isOneOf(NORMS), qkNorm: isBoolean };

/** A configuration whose fields are all there: what kind each is. */
const EXAMPLE = gptConfig({ vocabSize: 1, contextLength: 1, depth: 1, dim: 1, numHeads: 1 });

/**
 * parseSavedConfig — sizes and techniques from a parsed `config.json`, every field checked.
 *
 * @throws ConfigError  naming the first field that is missing, wrong, or not known: it may change what the model computes.
 */
export function parseSavedConfig(json: unknown, path: string): Saved {
  const { model_type: _, format, techniques, ...config } = json as Fields;
  if (format !== 1) throw new ConfigError(`loadModel: ${path} must have format 1, got ${shown(format)}. Was it written by a newer release?`);
  checkFields(path, '', config, Object.fromEntries(Object.entries(EXAMPLE).map(([name, value]) => [name, (given: unknown) => typeof given === typeof value])));
  if (typeof techniques !== 'object' || techniques === null) throw new ConfigError(`loadModel: ${path} must have techniques, got ${shown(techniques)}`);
  checkFields(path, 'techniques.', techniques as Fields, TECHNIQUES);
  return { config: gptConfig(config as GptConfig), techniques: techniques as ModelTechniques };
}

function checkFields(path: string, prefix: string, object: Fields, tests: Readonly<Record<string, Test>>): void {
  const wrong = wrongField(object, tests, prefix);
  if (wrong !== undefined) throw new ConfigError(`loadModel: ${path} must be the configuration of a model, ${wrong}`);
  const unknown = Object.keys(object).find((name) => !Object.hasOwn(tests, name));
  if (unknown !== undefined) throw new ConfigError(`loadModel: ${path} must have no ${prefix}${unknown}, which this release does not know, got ${shown(object[unknown])}`);
}

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? 'nothing';
