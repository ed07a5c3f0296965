import type { ImageSource } from '@evenkeel/data';
import { accuracy } from '@evenkeel/models-bert';
import type { Judged } from './classified.ts';
import { counted } from './format.ts';
import { pngDataUri } from './pngImage.ts';
import { confusionSection, pictureSection } from './predictionSections.ts';
import type { Conclusion } from './task.ts';

/** What to do with a model of images. */
const NEXT: Conclusion['next'] = ['Classify images of yours', 'predict --checkpoint DIR --image …'];

/** imageConclusion — what is said of a model of images: accuracy, confusion matrix, and images with what it makes of them. */
export async function imageConclusion(found: Judged | undefined, { classes, source }: { classes: readonly string[]; source: ImageSource }): Promise<Conclusion> {
  if (found === undefined) return { fields: { accuracy: null }, measured: [], next: NEXT };
  const share = accuracy(found.predicted, found.labels);
  const { length } = found.labels;
  const pictureOf = async (index: number): Promise<string> => pngDataUri({ pixels: await source.read([index]), shape: source.shape });
  return {
    valLoss: found.loss, fields: { accuracy: share },
    measured: [['validation loss', `${found.loss.toFixed(4)} over ${counted(length, 'image')}`], ['accuracy', `${(100 * share).toFixed(2)} %`]],
    tiles: [{ name: 'Accuracy', value: `${(100 * share).toFixed(2)} %`, note: `of ${counted(length, 'validation image')}` }],
    sections: [...confusionSection(found, classes), ...await pictureSection(found, classes, pictureOf)],
    next: NEXT,
  };
}
