import { GLUE_RECIPES, type FineTuningRecipe } from '@evenkeel/models-bert';
import type { PRESETS, TASK_KINDS } from '../techniqueNames.ts';

export type TaskKind = (typeof TASK_KINDS)[number];
export type TaskName = TaskKind | (typeof PRESETS)[number];

/** Recipe — what to fine-tune a task with, where the command line does not say. */
export type Recipe = {
  readonly kind: TaskKind;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly epochs: number;
  readonly batchSize: number;
  /** By which the best model is chosen; shown first. */
  readonly metric: string;
  /** What the labels 0, 1, … mean; others are then wrong. */
  readonly classes?: readonly string[];
  /** How many classes there are, where they have no names here. */
  readonly numClasses?: number;
  /** Whether each example is two texts. */
  readonly isPaired?: boolean;
};

const NAMES: Readonly<Record<string, readonly string[]>> = {
  sst2: ['negative', 'positive'], cola: ['unacceptable', 'acceptable'], qqp: ['different', 'duplicate'], mrpc: ['different', 'equivalent'],
};

const CLASS_COUNTS: Readonly<Record<string, number>> = { mnli: 3, qnli: 2, rte: 2 };
const PAIRED: readonly string[] = ['mnli', 'qqp', 'qnli', 'rte', 'mrpc', 'stsb'];

const METRICS: Readonly<Record<string, string>> = { matthews: 'matthews', 'accuracy and F1': 'f1', accuracy: 'accuracy', spearman: 'spearman' };

/** The width for which the learning rates of the recipes are, and the most that a narrower encoder gets. */
const [RECIPE_DIM, MOST_RATE] = [768, 1e-3] as const;

/** rateFor — a recipe's learning rate for an encoder of some width: by muP's rule for Adam (arXiv:2203.03466) the inverse of the width. */
export const rateFor = ({ learningRate }: Pick<Recipe, 'learningRate'>, dim: number): number => Math.min(MOST_RATE, (learningRate * RECIPE_DIM) / dim);

/** recipeOf — the recipe of a task; those of GLUE are MosaicBERT's (arXiv:2312.17482), BERT's own ranges (arXiv:1810.04805, A.3) stand for all others. */
export function recipeOf(task: TaskName, isLora = false): Recipe {
  const others: Readonly<Record<TaskKind, Recipe>> = {
    classification: { kind: 'classification', learningRate: 5e-5, weightDecay: 5e-6, epochs: 3, batchSize: 16, metric: 'accuracy' },
    regression: { kind: 'regression', learningRate: 5e-5, weightDecay: 5e-6, epochs: 3, batchSize: 16, metric: 'spearman' },
    'token-classification': { kind: 'token-classification', learningRate: 5e-5, weightDecay: 5e-6, epochs: 3, batchSize: 16, metric: 'f1' },
    qa: { kind: 'qa', learningRate: 5e-5, weightDecay: 5e-6, epochs: 3, batchSize: 16, metric: 'f1' },
    'image-classification': { kind: 'image-classification', learningRate: 1e-4, weightDecay: 1e-5, epochs: 5, batchSize: 32, metric: 'accuracy' },
  };
  const glue = (GLUE_RECIPES as Readonly<Record<string, FineTuningRecipe>>)[task];
  const recipe: Recipe = glue === undefined ? others[task as TaskKind]
    : { kind: task === 'stsb' ? 'regression' : 'classification', ...glue, metric: METRICS[glue.metric] as string, ...(NAMES[task] && { classes: NAMES[task] }), ...(CLASS_COUNTS[task] && { numClasses: CLASS_COUNTS[task] }), isPaired: PAIRED.includes(task) };
  return isLora ? { ...recipe, learningRate: 10 * recipe.learningRate } : recipe;
}
