/** Styles of the docs page. Fonts are the reader's own; nothing is loaded from anywhere. */
export const DOCS_STYLE = `
:root{color-scheme:light dark;--ink:#1b2330;--soft:#5b6675;--paper:#fff;--wash:#f5f6f8;--line:#dfe3e9;--fire:#c2410c;--get:#0f766e;--post:#1d4ed8;--put:#a16207;--patch:#7c3aed;--delete:#b91c1c}
@media (prefers-color-scheme:dark){:root{--ink:#e3e7ee;--soft:#98a3b3;--paper:#11151b;--wash:#181e27;--line:#2a323e;--fire:#fb923c;--get:#5eead4;--post:#93c5fd;--put:#fcd34d;--patch:#c4b5fd;--delete:#fca5a5}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;display:grid;grid-template-columns:19rem minmax(0,1fr);background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
a{color:inherit;text-decoration-color:var(--line);text-underline-offset:.2em}
a:hover{color:var(--fire)}
:focus-visible{outline:2px solid var(--fire);outline-offset:2px}
nav{position:sticky;top:0;height:100vh;overflow:auto;padding:1.5rem 1rem;border-right:1px solid var(--line);background:var(--wash);font-size:.85rem}
nav .home{display:block;font-size:1.15rem;font-weight:700;text-decoration:none;color:var(--fire)}
nav h2{margin:1.3rem 0 .3rem;font-size:.78rem;letter-spacing:.04em;text-transform:uppercase;color:var(--soft)}
nav h2 a,nav li a{text-decoration:none}
nav ul{list-style:none;margin:0;padding:0}
nav li a{display:grid;grid-template-columns:3.4rem 1fr;align-items:baseline;padding:.16rem 0;line-height:1.35}
main{max-width:60rem;padding:2.5rem 2.5rem 6rem}
h1{margin:0 0 1rem;font-size:2.1rem;letter-spacing:-.02em}
h2{font-size:1.45rem;letter-spacing:-.01em}
main>section{margin-top:3.5rem}
main>section>h2{padding-bottom:.4rem;border-bottom:2px solid var(--fire)}
article{margin:2.2rem 0;padding-top:1.4rem;border-top:1px solid var(--line)}
h3{margin:0;font-size:1.02rem;font-weight:500;overflow-wrap:anywhere}
h4{margin:1.3rem 0 .3rem;font-size:.9rem}
b.get,b.post,b.put,b.patch,b.delete{display:inline-block;min-width:3.6em;font:700 .72rem/1 ui-monospace,monospace;text-transform:uppercase}
b.get{color:var(--get)}b.post{color:var(--post)}b.put{color:var(--put)}b.patch{color:var(--patch)}b.delete{color:var(--delete)}
.summary{margin:.3rem 0;font-weight:600}
.scope{margin-left:.5rem;padding:.1rem .5rem;border:1px solid var(--line);border-radius:1rem;font:500 .75rem/1.4 ui-monospace,monospace;color:var(--soft)}
.server span{color:var(--soft)}
.media{margin:.2rem 0;color:var(--soft);font-size:.9rem}
code,pre{font-family:ui-monospace,"SF Mono",Menlo,Consolas,monospace;font-size:.87em}
h3 i{font-style:normal;color:var(--fire)}
p code,td code,dd code{padding:.05em .3em;border-radius:4px;background:var(--wash);overflow-wrap:anywhere}
pre{margin:.4rem 0;padding:.9rem 1rem;max-height:26rem;overflow:auto;border:1px solid var(--line);border-radius:8px;background:var(--wash);line-height:1.45}
table{width:100%;border-collapse:collapse;margin:.6rem 0;font-size:.9rem}
th{text-align:left;font-weight:600;color:var(--soft)}
th,td{padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child,td:not(:last-child) code{white-space:nowrap}
td:last-child{width:45%;color:var(--soft);overflow-wrap:anywhere}
sup{margin-left:.15em;line-height:0;color:var(--fire)}
summary{cursor:pointer}
details.refusals{margin-top:1rem;font-size:.9rem;color:var(--soft)}
details.schema{margin:.5rem 0;padding:.5rem .8rem;border:1px solid var(--line);border-radius:8px}
.schema>section{scroll-margin-top:3.5rem}
.schema:has(>:target){border-color:var(--fire)}
dl{display:grid;grid-template-columns:3rem 1fr;margin:.5rem 0}
dt{font-weight:600}dd{margin:0}
hr{border:0;border-top:1px dashed var(--line)}
@media (max-width:56rem){body{display:block}nav{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line)}nav ul{display:none}nav h2{display:inline-block;margin:.4rem .9rem 0 0}main{padding:1.5rem 1rem 4rem}table{display:block;overflow-x:auto}td:last-child{width:auto}}
@media print{nav{display:none}body{display:block}}
`;
