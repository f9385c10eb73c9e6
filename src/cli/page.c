/* A page of HTML that needs nothing but itself.
 *
 * The colours are those of Okabe & Ito (2008), which people who see few colours tell apart, lighter on dark ground; text has at least 7 : 1.
 * A content policy in the page itself refuses scripts and the network, should a name ever get past page_text. */
#include "cli/page.h"
#include <string.h>
#include "base/utf8.h"

static const char style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fff;--fg:#1a1a1a;--soft:#595959;--grid:#dcdcdc;--box:#f5f5f5;--hot:#7fc8a9;"
    "--c0:#0072b2;--c1:#c04b00;--c2:#00795a;--c3:#a8447f;--c4:#8a6d00;--c5:#3a3a3a;--c6:#5b4fc4}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#16181a;--fg:#ececec;--soft:#b5b5b5;--grid:#3a3d40;--box:#"
    "212427;"
    "--hot:#1f6b50;--c0:#63b8ee;--c1:#ff9a5c;--c2:#3fd0a0;--c3:#eda0cb;--c4:#ecc94b;--c5:#d0d0d0;--c6:#"
    "b0a6ff}}\n"
    "*{box-sizing:border-box}body{margin:0 "
    "auto;padding:1rem;max-width:72rem;background:var(--bg);color:var(--fg);"
    "font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\n"
    "h1{font-size:1.5rem;line-height:1.2}h2{font-size:1.2rem;margin:2rem 0 .5rem}p,ul{max-width:48rem}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:."
    "9rem}\n"
    "th,td{padding:.35rem .7rem;border-bottom:1px solid var(--grid);text-align:right;white-space:nowrap}"
    "th{white-space:normal;min-width:4.2rem}th:first-child,td:first-child{text-align:left}thead "
    "th{border-bottom:2px solid var(--soft)}"
    "td small{color:var(--soft);display:block}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}"
    "figure{margin:0;max-width:38rem;padding:.8rem;background:var(--box);border-radius:.5rem;break-inside:"
    "avoid}"
    "figcaption{font-weight:600;margin-bottom:.4rem}figure svg{width:100%;height:auto;display:block}\n"
    "svg text{font:13px system-ui,sans-serif;fill:var(--soft)}svg text.name{fill:var(--fg)}"
    ".grid{stroke:var(--grid);fill:none}.mark{stroke:var(--soft);stroke-dasharray:5 4;fill:none}"
    ".key{width:1rem;height:1rem;vertical-align:-.12rem;margin-right:.35rem}\n"
    "svg .bar{fill:none;stroke-width:1.5}svg .line{fill:none;stroke-width:1.8}\n"
    ".legend{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;max-width:none}"
    "figure svg.key{display:inline-block;width:1rem;height:1rem}.heat "
    "td{text-align:center;background:color-mix(in srgb,var(--hot) calc(var(--v)*100%),transparent)}\n"
    ".note{border-left:.3rem solid var(--c1);padding:.1rem .8rem;background:var(--box)}"
    "footer{color:var(--soft);font-size:.85rem;margin-top:2rem}\n"
    "@media print{body{max-width:none}figure{background:none;border:1px solid var(--grid)}}\n";

static void put_colors(struct buf *out)
{
    for (int i = 0; i < PAGE_COLORS; i++)
        buf_printf(out, ".s%d{fill:var(--c%d);stroke:var(--c%d)}", i, i, i);
}

void page_begin(struct buf *out, const char *title)
{
    buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'\"/>\n"
                  "<title>");
    page_text(out, title);
    buf_puts(out, "</title>\n<style>\n");
    buf_puts(out, style);
    put_colors(out);
    buf_puts(out, "\n</style>\n</head>\n<body>\n");
}

void page_end(struct buf *out)
{
    buf_puts(out, "</body>\n</html>\n");
}

static const char *entity(uint32_t c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return c < ' ' || c == 0x7f || c == 0xfffe || c == 0xffff ? "\xef\xbf\xbd" : NULL;
    }
}

void page_text(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        uint32_t c = 0;
        int k = utf8_get(text + i, n - i, &c);
        const char *instead = k ? entity(c) : "\xef\xbf\xbd";
        if (instead)
            buf_puts(out, instead);
        else
            buf_put(out, text + i, (size_t)k);
        i += k ? (size_t)k : 1;
    }
}
