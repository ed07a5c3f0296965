import { tsupConfig } from '@evenkeel/config/tsup';

export default tsupConfig({ entry: ['src/main.ts'] });
