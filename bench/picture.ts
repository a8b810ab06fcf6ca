import { init, use, type ComposeOption } from 'echarts/core';
import { BarChart, LineChart, type BarSeriesOption, type LineSeriesOption } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent, type GridComponentOption } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { ratios, type Results } from './report.js';

use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

type Option = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption>;

/** An SVG of the CPU time per answer as a multiple of the bare proxy's and, if measured, the memory under load. */
export function picture({ answers, soak }: Results): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 1200, height: soak ? 760 : 420 });
  const names = [...new Set([...answers.values()].flatMap((samples) => [...samples.keys()]))];
  const bars: BarSeriesOption[] = names.map((peer) => ({
    type: 'bar',
    name: peer.name,
    data: [...answers.values()].map((samples) =>
      samples.has(peer) ? Number(ratios(samples, peer, ({ cpu }) => cpu).median.toFixed(1)) : '-',
    ),
    label: { show: true, position: 'top', fontSize: 10 },
  }));
  const line: LineSeriesOption[] = soak
    ? [
        {
          type: 'line',
          name: 'memory',
          xAxisIndex: 1,
          yAxisIndex: 1,
          symbol: 'none',
          data: soak.moments.map(({ seconds, memory }) => [seconds / 60, Math.round(memory)]),
        },
      ]
    : [];
  const option: Option = {
    backgroundColor: '#fff',
    animation: false,
    title: [
      { text: 'CPU per request, as a multiple of the bare proxy’s', left: 20, top: 10 },
      ...(soak ? [{ text: 'Memory of the product under load, MB', left: 20, top: 430 }] : []),
    ],
    legend: { top: 40, itemGap: 40, data: names.map(({ name }) => name) },
    grid: [
      { left: 60, right: 30, top: 80, height: 280 },
      ...(soak ? [{ left: 60, right: 30, top: 480, height: 220 }] : []),
    ],
    xAxis: [
      { type: 'category', data: [...answers.keys()].map(({ name }) => name) },
      ...(soak ? [{ type: 'value' as const, gridIndex: 1, name: 'min', max: 'dataMax' as const }] : []),
    ],
    yAxis: [{ type: 'value', min: 0 }, ...(soak ? [{ type: 'value' as const, gridIndex: 1, min: 0 }] : [])],
    series: [...bars, ...line],
  };
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
