import { init, use, type ComposeOption } from 'echarts/core';
import { BarChart, LineChart, type BarSeriesOption, type LineSeriesOption } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent, type GridComponentOption } from 'echarts/components';
import { SVGRenderer } from 'echarts/renderers';
import { mainQuestions } from './questions.js';
import { bareProxy, cpuOf, ratios } from './report.js';
import type { Results } from './results.js';
import { mainPeers } from './summary.js';

use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

type Option = ComposeOption<BarSeriesOption | LineSeriesOption | GridComponentOption>;

/** An SVG of the CPU time per answer as a multiple of the bare proxy's, and the memory under load. */
export function picture({ questions, soak }: Results): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: 1200, height: 760 });
  const multiple = (question: string, peer: string) => {
    const peers = questions[question]?.peers ?? {};
    return peers[peer] ? Number(ratios(peers, peer, bareProxy, cpuOf).median.toFixed(1)) : '-';
  };
  const bars: BarSeriesOption[] = mainPeers.map((peer) => ({
    type: 'bar',
    name: peer,
    data: mainQuestions.map((question) => multiple(question, peer)),
    label: { show: true, position: 'top', fontSize: 10 },
  }));
  const line: LineSeriesOption = {
    type: 'line',
    name: 'memory',
    xAxisIndex: 1,
    yAxisIndex: 1,
    symbol: 'none',
    data: soak?.moments.map(({ seconds, memory }) => [seconds / 60, Math.round(memory)]) ?? [],
  };
  const option: Option = {
    backgroundColor: '#fff',
    animation: false,
    title: [
      { text: 'CPU per request, as a multiple of the bare proxy’s', left: 20, top: 10 },
      { text: 'Memory of the product under load, MB', left: 20, top: 430 },
    ],
    legend: { top: 40, itemGap: 40, data: mainPeers },
    grid: [
      { left: 60, right: 30, top: 80, height: 280 },
      { left: 60, right: 30, top: 480, height: 220 },
    ],
    xAxis: [
      { type: 'category', data: [...mainQuestions] },
      { type: 'value', gridIndex: 1, name: 'min', max: 'dataMax' },
    ],
    yAxis: [
      { type: 'value', min: 0 },
      { type: 'value', gridIndex: 1, min: 0 },
    ],
    series: [...bars, line],
  };
  chart.setOption(option);
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}
