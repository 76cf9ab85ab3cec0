# SPDX-License-Identifier: Apache-2.0
"""The results as a picture: for each load a group of bars, IOPS as a share of the fastest. SVG, by hand."""
from xml.sax.saxutils import escape

COLOURS = ["#1b6ca8", "#3fa7d6", "#7b6cb0", "#59a14f", "#9aa0a6", "#e07a3f", "#c94f4f", "#b08d3c", "#5b8c85", "#8c6d62", "#444444"]
BAR, GAP, LEFT, WIDTH, TOP = 11, 12, 210, 560, 60


def svg(results):
    names = [name for name in results.backends if any(name in results.measured_backends(w) for w in results.workloads)]
    colour = dict(zip(names, COLOURS))
    parts, y = [], TOP
    for workload in results.workloads:
        present = results.measured_backends(workload)
        iops = {name: results.median(workload, name, "iops") for name in present}
        fastest = max(iops.values())
        parts.append(f'<text x="{LEFT - 8}" y="{y + BAR * len(present) / 2 + 4:.0f}" text-anchor="end">{escape(workload)}</text>')
        for name in present:
            width = max(WIDTH * iops[name] / fastest, 1)
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{BAR - 1}" fill="{colour[name]}"/>')
            parts.append(f'<text x="{LEFT + width + 4:.0f}" y="{y + BAR - 2}" class="n">{escape(name)} {iops[name]:.0f}</text>')
            y += BAR
        y += GAP
    head = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 160}" height="{y + 10}" font-family="sans-serif" font-size="12">',
            '<style>.n{font-size:9px;fill:#333}</style><rect width="100%" height="100%" fill="#fff"/>',
            '<text x="10" y="20" font-size="15">IOPS of each load, the fastest fills the line</text>',
            f'<text x="10" y="38" class="n">Linux {escape(results.machine["kernel"])}, emulated processor: only the ratios mean something; medians</text>']
    return "\n".join(head + parts + ["</svg>"]) + "\n"
