#!/usr/bin/env python3
"""Draws a terminal as SVG: picture.py < text > docs/terminal.svg. Lines that begin with "$ " or "> " are shown as typed."""
import sys
from xml.sax.saxutils import escape

SIZE, LEAD, PAD = 14, 20, 18


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    width = int(max(len(line) for line in lines) * SIZE * 0.602) + 2 * PAD
    height = len(lines) * LEAD + 2 * PAD
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">')
    print(f'<rect width="{width}" height="{height}" rx="8" fill="#16181d"/>')
    print(f'<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="{SIZE}" xml:space="preserve">')
    for i, line in enumerate(lines):
        typed = line.startswith(("$ ", "> "))
        fill = "#8fd694" if typed else "#d7dae0"
        print(f'<text x="{PAD}" y="{PAD + SIZE + i * LEAD}" fill="{fill}">{escape(line)}</text>')
    print("</g>\n</svg>")


if __name__ == "__main__":
    main()
