import { train, type Run } from './train.ts';

self.onmessage = ({ data }: MessageEvent<Run>) => {
  train(data).then(
    (result) => self.postMessage({ result }),
    (error: unknown) => self.postMessage({ error: error instanceof Error ? error.stack : String(error) }),
  );
};
