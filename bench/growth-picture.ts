import { init, use, type ComposeOption } from 'echarts/core';
import { LineChart, type LineSeriesOption } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent, type GridComponentOption } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import type { Growth, Step } from './growth.js';

use([LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

type Option = ComposeOption<LineSeriesOption | GridComponentOption>;
type Points = [x: number, y: number][];

interface Panel {
  title: string;
  x: string;
  lines: Record<string, Points>;
}

const cpuOf = (steps: readonly Step[], per: (step: Step) => number) => ({
  product: steps.map((step): [number, number] => [step.count, step.product.cpu / per(step)]),
  'bare proxy': steps.map((step): [number, number] => [step.count, step.bareProxy.cpu / per(step)]),
});

/** An SVG with a panel for each thing that grows. All axes are logarithmic: a straight line grows evenly, a level one not at all. */
export function growthPicture({ representations, returnCode, users }: Growth): string {
  const panels: Panel[] = [
    {
      title: 'CPU, µs per representation',
      x: 'representations',
      lines: cpuOf(representations, ({ count }) => count),
    },
    { title: 'CPU, µs per RETURN_CODE', x: 'connections', lines: cpuOf(returnCode, () => 1) },
    {
      title: 'Memory held by the product, MB',
      x: 'users remembered',
      lines: { product: users.map(({ users: count, held }) => [count, held]) },
    },
  ];
  const [width, gap] = [320, 80];
  const leftOf = (index: number) => 60 + index * (width + gap);
  const option: Option = {
    backgroundColor: '#fff',
    animation: false,
    title: panels.map(({ title }, index) => ({
      text: title,
      left: leftOf(index) - 40,
      top: 10,
      textStyle: { fontSize: 15 },
    })),
    legend: { bottom: 10, data: ['product', 'bare proxy'] },
    grid: panels.map((_, index) => ({ left: leftOf(index), width, top: 60, height: 230 })),
    xAxis: panels.map(({ x }, index) => ({
      type: 'log' as const,
      gridIndex: index,
      name: x,
      nameLocation: 'middle' as const,
      nameGap: 28,
    })),
    yAxis: panels.map((_, index) => ({ type: 'log' as const, gridIndex: index })),
    series: panels.flatMap(({ lines }, index) =>
      Object.entries(lines).map(([name, data]) => ({
        type: 'line' as const,
        name,
        xAxisIndex: index,
        yAxisIndex: index,
        data,
        color: name === 'product' ? '#5470c6' : '#91cc75',
        label: { show: true, position: 'top' as const, fontSize: 10, formatter: labelOf },
      })),
    ),
  };
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: leftOf(panels.length) - gap + 40, height: 380 });
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

function labelOf({ value }: { value?: unknown }): string {
  const [, y = 0] = value as Points[number];
  return y.toLocaleString('en', { maximumSignificantDigits: 2 });
}
