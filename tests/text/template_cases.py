"""Small templates for template_oracle.py and, with jinja2's answers, for test_template.c (tests/data/template_cases.jsonl)."""
V = {"x": 5, "f": 2.5, "s": "Hello World", "u": "straße ΑΣ ǆ ﬁ", "l": [3, 1, 2], "d": {"b": 1, "a": [1, {"c": None}], "items": 7}, "n": None,
     "t": True, "e": "", "el": [], "ml": "a\nb\n\nc", "objs": [{"n": "b", "v": 2, "in": {"k": 1}}, {"n": "A", "v": 1, "in": {"k": 2}}, {"n": "c", "v": 2}],
     "neg": -7, "big": 123456789012345678, "small": 1e-7, "huge": 1e22, "uni": "日本語🙂é"}

EXPRESSIONS = r"""
x
f
s
n
t
l
d
uni
missing
missing.x
missing.x.y
missing + 1
missing ~ 'a'
-missing
missing|length
missing|list
missing|upper
missing|int
missing == none
missing == missing2
missing in l
x in missing
missing|tojson
missing is defined
d.zzz is defined
d.zzz.y is defined
n.zzz
n.zzz.y
x.y is defined
1 + 2 * 3 - 4
(1 + 2) * 3
2 ** 3 ** 2
-2 ** 2
2 ** -1
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
-7.5 % 2
7.5 // -2
7 / 2
6 / 2
1 / 0
1 // 0
1 % 0
1.5 + 1
0.1 + 0.2
1e16
1e15
123456789.123456789
1e-4
1e-5
1.0
100000.0 * 100000.0
1e300 * 1e10
3.0 // 2
1_000
0x1F
0b101
0o17
1e3
1.5e-3
big
big * 2
big + 0.5
small
huge
9007199254740993 == 9007199254740992.0
9223372036854775807
true
false
none
True
None
not x
not none
not ''
not []
not {}
not 0.0
x and s
x or s
0 and s
0 or s
none or false
'' or 'a' or 'b'
x == 5
x == 5.0
x == '5'
true == 1
1 < 2 < 3
1 < 3 < 2
3 > 2 > 1
1 == 1 == 1
'a' < 'b'
[1, 2] < [1, 3]
(1, 2) < (1, 2, 3)
'a' < 1
none < 1
[1] == (1,)
{'a': 1} == {'a': 1.0}
'ell' in s
'xyz' in s
1 in s
1 in l
4 not in l
'a' in d
not 'a' in d
'a' ~ 1 ~ none ~ true ~ 1.5
'a' + 'b'
'a' + 1
'ab' * 3
3 * 'ab'
'ab' * -1
[1] * 3
[1] + [2]
(1,) + (2, 3)
[1] + (2,)
l + 1
'yes' if x > 3 else 'no'
'yes' if x > 9
('yes' if x > 9) is defined
1 if 0 else 2 if 0 else 3
[1, 'a', none, true, 1.5, [2], (3,), {'k': 'v'}]
()
(1,)
(1, 2)
[]
{}
{'a': 1, 'b': [1, 2], 3: none}
{'a': 1,}
[1, 2,]
"it's"
'say "hi"'
['it\'s', "say \"hi\"", 'both \' and "']
['\n\t\\', '\x01\x7f', 'é', '\u200b', '\u00a0', '🙂', '\U0001F642']
'a\qb\n'
"\x41\u0042\103"
'a' 'b' "c"
s[0]
s[-1]
s[20]
s[1:3]
s[:-3]
s[::-1]
s[::2]
s[-5:]
s[10:2]
s[5:0:-1]
s[5::-2]
l[0]
l[-1]
l[9]
l[9] is defined
l['a']
l[1:]
l[::-1]
l[-2:]
l[:100]
l[100:]
l[-100:2]
l[::0]
n[1:]
missing[1:]
x[1:]
(1,2,3)[1:]
uni[0]
uni[1:3]
uni[::-1]
uni[-1]
uni|length
d.a
d['a']
d.a[1].c
d['a'][1]['c'] is none
d['zzz']
d['items']
d.items()
d.items()|list
d.keys()|list
d.values()|list
d.keys()
d.get('a')
d.get('zzz')
d.get('zzz', 5)
d.get('b', default=1)
d|length
d|list
d|first
d.b.c
l.0
l.5
objs.0.n
x.0
s|upper
s|lower
s|title
s|capitalize
s|length
s|reverse
s|first
s|last
s|list
u|upper
u|lower
u|title
u|capitalize
u.title()
u.capitalize()
u.upper()
u.swapcase()
'ὈΔΥΣΣΕΎΣ'.lower()
'İI'.lower()
"they're bill's friends from the UK".title()
"they're bill's friends from the UK"|title
"foo-bar (baz) [qux]"|title
'ß'.casefold()
'  a b  '|trim
'xxaxx'|trim('x')
'  a b  '.strip()
'  a b  '.lstrip()
'  a b  '.rstrip()
'xyaxy'.strip('xy')
'xyaxy'.lstrip('xy')
'xyaxy'.rstrip('yx')
'\u00a0a\u2003'.strip()
'a b  c '.split()
'a b  c '.split(' ')
'a,b,c'.split(',', 1)
'a,b,c'.split(',', maxsplit=1)
'a,b,c'.rsplit(',', 1)
' a b c '.split(none, 1)
' a b c '.rsplit(none, 1)
' a b c '.rsplit()
'a'.split('')
''.split()
''.split(',')
'a\nb\r\nc\rd'.splitlines()
'a\nb\n'.splitlines()
'a\nb\n'.splitlines(true)
'abc'.startswith('ab')
'abc'.startswith(('x', 'ab'))
'abc'.endswith(('x', 'bc'))
'abc'.startswith('b', 1)
'abc'.endswith('b', 0, 2)
'abc'.startswith(['a'])
'abc'.startswith(1)
'aXbX'.replace('X', '--')
'aXbX'.replace('X', '--', 1)
'abc'.replace('', '-')
'aaa'.replace('aa', 'b')
'aXbX'|replace('X', '--')
'aXbX'|replace('X', '--', 1)
1212|replace(1, 'x')
'hello'.find('l')
'hello'.find('z')
'hello'.rfind('l')
'hello'.find('l', 3)
'hello'.find('l', -1)
'hello'.find('', 9)
'日本語'.find('語')
'hello'.index('l')
'hello'.index('z')
'hello'.count('l')
'hello'.count('')
'hello'.count('l', 3)
', '.join(['a', 'b'])
', '.join('abc')
', '.join([1])
'a.b.c'.partition('.')
'a.b.c'.rpartition('.')
'abc'.partition('.')
'abc'.isdigit()
'123'.isdigit()
''.isdigit()
'²'.isdigit()
'½'.isnumeric()
'abc'.isalpha()
'ab1'.isalnum()
'ABC'.isupper()
'abc'.islower()
'Abc Def'.istitle()
' \n'.isspace()
'abc'.removeprefix('ab')
'abc'.removesuffix('bc')
'7'.zfill(3)
'-7'.zfill(4)
'a'.ljust(3) ~ '|'
'a'.rjust(3, '*')
'ab'.center(5, '*')
'abc'.center(6, '*')
'ab'|center(6)
'{} {}'.format(1, 'a')
'{1} {0}'.format(1, 'a')
'{a} {b!r}'.format(a=1, b='x')
'{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd')
'{:05d} {:+d} {:,} {:x} {:#x} {:b} {:o}'.format(42, 42, 1234567, 255, 255, 5, 8)
'{:.2f} {:8.3f} {:e} {:g} {:%}'.format(3.14159, 2.5, 12345.678, 0.0001, 0.25)
'{0[a]} {0[b][0]}'.format({'a': 1, 'b': [2]})
'{{}} {}'.format(1)
'{} {}'.format(1)
'{a}'.format(1)
'{:d}'.format('a')
'{:.2}'.format('abc')
'{:10}|'.format(5)
'{:.3}'.format(3.14159)
'%s %d %5.2f %r' % ('a', 5, 3.14159, 'q')
'%s' % 5
'%s' % [1, 2]
'%d%%' % 50
'%05d|%-5d|%+d|%x|%X|%o' % (42, 42, 42, 255, 255, 8)
'%5s|%-5s|%.2s' % ('a', 'b', 'cde')
'%(a)s %(b)d' % {'a': 1, 'b': 2}
'%s %s' % (1,)
'%s' % (1, 2)
'%d' % 'a'
'%e %g %G' % (12345.678, 1e-10, 1e20)
'%c%c' % (65, 'b')
'%s'|format('a')
'%(a)s'|format(a=1)
'%s and %s'|format('a', 2)
l|sort
l|sort(reverse=true)
['b', 'A', 'c']|sort
['b', 'A', 'c']|sort(case_sensitive=true)
['a', 1]|sort
objs|sort(attribute='v')|map(attribute='n')|list
objs|sort(attribute='n')|map(attribute='n')|join(',')
objs|sort(attribute='v', reverse=true)|map(attribute='n')|join
objs|map(attribute='in.k')|list
objs|map(attribute='in.k', default=0)|list
objs|map(attribute='zzz')|list
objs|map('length')|list
['a', 'b']|map('upper')|list
['a', 'b']|map('replace', 'a', 'x')|join
[' a ']|map('trim')|list
[1, 2]|map('string')|list
[1, 2]|map('nonexistent')|list
[0, 1, 2, none]|select|list
[0, 1, 2, none]|reject|list
[1, 2, 3, 4]|select('odd')|list
[1, 2, 3, 4]|reject('divisibleby', 2)|list
[1, 2, 3]|select('>', 1)|list
[1, 2, 3]|select('in', [1, 3])|list
['a', 1]|select('string')|list
objs|selectattr('v', 'equalto', 2)|map(attribute='n')|list
objs|selectattr('v', '==', 1)|map(attribute='n')|list
objs|selectattr('in')|list|length
objs|rejectattr('in')|list|length
objs|selectattr('in', 'defined')|list|length
objs|rejectattr('v', 'eq', 2)|list|length
objs|selectattr('v', 'nonexistent')|list
objs|selectattr('zzz')|first
objs|selectattr('zzz')|first is defined
[1,2]|select('odd')|length
'true' if [1]|select('even') else 'false'
[1, 2, 3]|first
[1, 2, 3]|last
[]|first
[]|last
[1, 2, 3]|select|last
[1, 2, 3]|reverse|list
(1, 2)|list
'abc'|list
5|list
none|list
[1, 2]|join
[1, 2]|join(', ')
[1, none, 'a']|join('-')
objs|join(', ', attribute='n')
[1, 2, 3]|sum
[0.5, 1]|sum
objs|sum(attribute='v')
[[1], [2]]|sum(start=[])
['a']|sum
[3, 1, 2]|min
[3, 1, 2]|max
['b', 'A']|min
objs|max(attribute='v')
[]|max
[1, 1, 2]|unique|list
['a', 'A', 'b']|unique|list
['a', 'A', 'b']|unique(true)|list
objs|groupby('v')|list|length
[1, 2, 3, 4, 5]|batch(2)|list
[1, 2, 3, 4, 5]|batch(2, 'x')|list
[1, 2, 3, 4, 5]|slice(2)|list
[1, 2, 3, 4, 5]|slice(3, 'x')|list
d|dictsort
d|dictsort(reverse=true)
{'B': 1, 'a': 2}|dictsort
{'B': 1, 'a': 2}|dictsort(true)
{'B': 2, 'a': 1}|dictsort(false, 'value')
d|items|list
none|map('upper')|list
none|selectattr('x')|list
0|select|list
5|select|list
none|map|list
d|items|first
missing|items|list
5|items|list
n|default('x')
n|default('x', true)
missing|default('x')
missing|d
e|default('x')
e|default('x', boolean=true)
missing.a|default('x')
0|default(3, true)
'12'|int
'12.7'|int
'abc'|int
'abc'|int(7)
' 42 '|int
'0x1f'|int(0, 16)
'1f'|int(base=16)
'1_0'|int
3.9|int
-3.9|int
true|int
none|int
[]|int
'1.5'|float
'abc'|float
'1e3'|float
'inf'|float
'nan'|float
none|float
5|float
x|string
1.0|string
none|string ~ '!'
l|string
-5|abs
2.5|abs
'a'|abs
2.5|round
3.5|round
2.567|round(2)
2.5|round(0, 'floor')
2.1|round(method='ceil')
1234|round(-2)
1250.0|round(-2)
5|round
2.675|round(2)
2.5|round(1, 'x')
'a b c'|wordcount
'don\'t stop'|wordcount
'<a href="x">\'&\'</a>'|escape
'<a>'|e
'<a>'|safe
'<a>'|e|upper
ml|indent
ml|indent(2)
ml|indent(2, true)
ml|indent(2, true, true)
ml|indent('> ')
ml|indent(width=1, first=true)
'a b/c?d=é&'|urlencode
{'a': 1, 'b c': 'd&'}|urlencode
[('a', 1)]|urlencode
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'foo bar baz qux'|truncate(9, false, '..', 0)
13|filesizeformat
1300000|filesizeformat
1300000|filesizeformat(true)
d|tojson
d|tojson(indent=2)
d|tojson(true)
uni|tojson
uni|tojson(ensure_ascii=true)
'a"b\\c\n\t\x01\x7f</script>'|tojson
1.0|tojson
1e22|tojson
0.1|tojson
none|tojson
[]|tojson(indent=2)
{}|tojson(indent=2)
[[], {}]|tojson(indent=2)
(1, 2)|tojson
{'b': 1, 'a': 2}|tojson(sort_keys=true)
{'b': 1, 'a': 2}|tojson(separators=(',', ':'))
{'b': 1, 'a': [1]}|tojson(indent='\t')
{1: 2, none: 3, true: 4, 1.5: 5}|tojson
range(3)|tojson
range(3)|list|tojson
d.items()|tojson
[1, 2]|select|tojson
'inf'|float|tojson
range(5)|list
range(1, 10, 3)|list
range(5, 0, -2)|list
range(3)
range(3)[1]
range(3)|length
range(0)|list
range(200000)|length
range(1.5)
range('a')
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1)])
namespace(a=1).a
namespace(a=1).b
namespace(a=1)['a']
x is defined
x is not defined
missing is undefined
x is none
n is none
n is not none
s is string
x is string
x is number
t is number
f is number
x is integer
t is integer
f is float
t is boolean
x is boolean
t is true
t is false
false is false
1 is true
d is mapping
l is mapping
l is iterable
x is iterable
s is iterable
missing is iterable
n is iterable
l is sequence
s is sequence
d is sequence
x is sequence
d.items() is sequence
range(2) is sequence
[1]|select is iterable
[1]|select is sequence
x is odd
x is even
x is divisibleby(5)
x is divisibleby 3
x is eq 5
x is ne(4)
x is gt 4
x is lt(4)
x is ge 5
x is le 4
x is sameas 5
n is sameas none
l is sameas l
x is in [1, 5]
x is not in [1, 5]
'abc' is lower
'ABC' is upper
'' is lower
'1' is upper
range is callable
x is callable
'upper' is filter
'defined' is test
x is nonexistent
x|nonexistent
x is defined and x > 3
x is defined|upper
not x is defined
x is not none and t
x is string or t
d.a is sequence and d.a|length == 2
nonexistent()
x()
s.nonexistent()
l.append(4)
[l.append(4), l]
[l.pop(), l]
[l.pop(0), l]
[l.insert(1, 9), l]
[l.extend([7]), l]
[l.remove(1), l]
[l.reverse(), l]
[l.sort(), l]
l.index(1)
l.index(99)
l.count(1)
[d.update({'z': 1}), d]
[d.update(q=2), d.q]
[d.pop('b'), d]
d.pop('zzz')
d.pop('zzz', 1)
[d.setdefault('zz', 3), d.zz]
d.copy()
(1, 2, 1).count(1)
(1, 2).append
cycler('a', 'b').next()
joiner('-')() ~ 'x'
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y %A %j %H:%M')
raise_exception('boom')
'a' if missing else 'b'
[missing]
{'a': missing}
{'a': [none, true]}|string
(x, s)
x, s
'%s' % missing
s.split(' ')[0]
s.split(' ')[-1]|lower
(s|lower).split()
s|lower|upper|length
-x|abs
-5|abs ~ ''
1 ~ 2 + 3
2 + 3 ~ 4
'a' in 'abc' and 'b' not in 'xyz'
[[1, 2], [3]][0][1]
{'a': {'b': {'c': 1}}}.a.b.c
{'a': 1}['a']
[1, 2, 3][1:][0]
'abc'[1]
"abc"[-1:]
"\\d"
'\\n'
'a\
b'
1.
.5
1 +
(1
[1, 2
{'a' 1}
'abc
a b
1 2
x..y
x.
not
d.a.0
s[missing]
l[missing]
l['x'] is defined
l[1.0] is defined
d[l]
{l: 1}
lipsum is defined
loop is defined
True and none
none is none is none
1 < 2 == true
x if x
'é'|length
'é'|upper
'%5s|' % 'é'
'{:>3}|'.format('é')
'e\u0301'|length
'ⅷ'.upper()
'ﬃ'.title()
'ŉ'.upper()
'ǆ'|capitalize
'ΐ'.upper()
"I'm"|title
'aB'.swapcase()
[1, 2, 3]|map('float')|list
[1.0, 2.50, 1e100, 1e-10, 12345678901234567890.0, -0.0]
[0.1 + 0.7, 1/3, 2/3, 1e21, 1.1e-7, 5e-324]
100 * 1.1
3 * 0.1
1e5|int
'a'|string|length
d.a|last|string
['x', 'y']|join(missing)
(none, 1)|first is none
"a" > "B"
"Z" < "a"
'\u00e9' > 'z'
[3, 1]|sort|string + 'x'
loop
caller
"{{ x }}"
'{% x %}'
"}}"
'a' ~ '}' ~ '}'
{'a': {'b': 1}}
{'a': {}}
d|attr('a')
"abc"|batch(2)|list
'a,b'.split(',')|map('upper')|join('-')
x == 5 and (s == 'Hello World' or missing.y)
t and missing.y
not (x and t)
(not x) == false
not x == 5
'a' 'b'|upper
[['a', 1], ['b', 2]]|map('first')|list
[['a', 1], ['b', 2]]|map(attribute=1)|list
[['a', 1], ['b', 2]]|map(attribute='0')|list
"abc"|replace("b", missing)
'x'.join(d)
'a'.upper().lower().title()
s.upper()[0:2].lower()
""" .strip("\n").split("\n")

STATEMENTS = [
    "a\n{% if t %}\nb\n{% endif %}\nc\n",
    "a\n  {% if t %}  \n  b\n  {% endif %}\nc\n\n",
    "a\n  {%+ if t %}b{%- endif +%}\nc",
    "a  {%- if t -%}  b  {%- endif -%}  c",
    "  {{ x }}  \n  {{- x -}}  \n  z",
    "{# comment #}\nx{# another\n one #}\n  {#- c -#}  y {#+ z +#}\nw",
    "  {# c #}\n  {% if t %}\n  x\n  {% endif %} y\n",
    "{% raw %}{{ x }}{% if %}{% endraw %}",
    "a {%- raw -%}  {{ x }}  {%- endraw -%} b",
    "a\n  {% raw %}\n x {{ y }}\n  {% endraw %}\nb",
    "{% raw %}",
    "\r\na\rb\r\n{% if t %}\r\nc{% endif %}\r\n",
    "x\n",
    "x\n\n",
    "\n",
    "",
    "{{ '\n' }}",
    "{% for i in l %}{{ i }}{% endfor %}",
    "{% for i in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }} {% endfor %}",
    "{% for i in l %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{{ loop.previtem is defined }} {% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for i in el %}x{% else %}empty{% endfor %}",
    "{% for i in missing %}x{% else %}empty{% endfor %}",
    "{% for i in n %}x{% endfor %}",
    "{% for i in x %}x{% endfor %}",
    "{% for i in s %}{{ i }}-{% endfor %}",
    "{% for k in d %}{{ k }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{% endfor %}",
    "{% for a, b in [[1]] %}{% endfor %}",
    "{% for a, b in ['xy'] %}{{ a }}{{ b }}{% endfor %}",
    "{% for i in range(10) if i is odd %}{{ i }}{{ ',' if not loop.last }}{% endfor %}",
    "{% for i in range(10) if i > 20 %}x{% else %}none{% endfor %}",
    "{% for i in range(6) if i is odd %}{{ loop.length }}{{ loop.revindex }}{% endfor %}",
    "{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in [1] %}{% break %}{% else %}x{% endfor %}y",
    "{% for i in l %}{% for j in l %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in l %}{% set outer = loop %}{% for j in 'ab' %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for i in l recursive %}{{ i }}{% endfor %}",
    "{% for i in [[1, [2, 3]], 4] recursive %}{% if i is iterable %}[{{ loop(i) }}]{% else %}{{ i }}@{{ loop.depth }} {% endif %}{% endfor %}",
    "{% for i in l %}{{ loop(l) }}{% endfor %}",
    "{% set x = 1 %}{% for i in l %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, found=false) %}{% for i in l %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ ns.found }}",
    "{% set ns = namespace() %}{% set ns.a = 1 %}{% set ns.b = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}",
    "{% set ns = namespace(stop=false) %}{% for i in range(5) if not ns.stop %}{{ i }}{% if i == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}",
    "{% set ns = namespace(stop=false) %}{% for i in range(5) if not ns.stop %}{{ i }}{{ loop.last }}{% if i == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}",
    "{% set d.x = 1 %}{{ d.x }}",
    "{% set zzz.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = [1] %}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set a %}hello {{ x }}{% endset %}{{ a|upper }}",
    "{% set a | upper | replace('E', '3') %}hello {{ x }}{% endset %}{{ a }}",
    "{% set ns = namespace() %}{% set ns.t %}body{% endset %}{{ ns.t }}",
    "{% if x > 3 %}{% set y = 1 %}{% endif %}{{ y }}",
    "{% if x > 9 %}{% set y = 1 %}{% endif %}{{ y is defined }}",
    "{% if not z is defined %}{% set z = 5 %}{% endif %}{{ z }}",
    "{% if not x is defined %}{% set x = 9 %}{% endif %}{{ x }}",
    "{% if e %}a{% elif n %}b{% elif t %}c{% else %}d{% endif %}",
    "{% if e %}a{% elif n %}b{% else %}d{% endif %}",
    "{% if x, %}tuple{% endif %}",
    "{% macro m(a, b=2, c='z') %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c=5, a=4) }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro m() %}{{ y }}{% endmacro %}{% set y = 7 %}{{ m() }}",
    "{% set y = 7 %}{% macro m() %}{% set y = 8 %}{{ y }}{% endmacro %}{{ m() }}{{ y }}",
    "{% macro a() %}<{{ b() }}>{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}",
    "{% macro m(x) %}{% macro k(y) %}{{ x }}{{ y }}{% endmacro %}{{ k(2) }}{% endmacro %}{{ m(1) }}",
    "{% for i in l %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}  a  {% endmacro %}{{ m()|trim }}{{ m().strip() }}{{ m()|length }}",
    "{% macro m(n=[]) %}{% set _ = n.append(1) %}{{ n|length }}{% endmacro %}{{ m() }}{{ m() }}",
    "{% macro wrap(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call wrap('b') %}x{{ x }}{% endcall %}",
    "{% macro each(l) %}{% for i in l %}{{ caller(i) }},{% endfor %}{% endmacro %}{% call(i) each(l) %}{{ i * 2 }}{% endcall %}",
    "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
    "{% macro m %}x{% endmacro %}",
    "{% macro m(a, a2=1, b) %}{% endmacro %}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}{{ m(none) }}{{ m(zzz) }}",
    "{% macro m(a=1) %}{{ a }}{% endmacro %}{{ m(zzz) }}{{ m(none) }}",
    "{{ dict(a=1, **{'b': 2}) }}{{ dict(*[[('c', 3)]]) }}",
    "{% filter upper %}abc {{ s }}{% endfilter %}",
    "{% filter replace('a', 'b')|upper %}abc{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set a = 5 %}{{ a }}{% endwith %}{{ a }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q }}",
    "{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}",
    "{% generation %}\n  x\n{% endgeneration %}\ny",
    "{% set l2 = [] %}{% for i in l %}{% set _ = l2.append(i * 2) %}{% endfor %}{{ l2 }}",
    "{% set a = [1] %}{% set b = a %}{% set _ = b.append(2) %}{{ a }}",
    "{% set a = {'k': [1]} %}{% set _ = a.k.append(2) %}{% set _ = a.update(z=1) %}{{ a }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{{ c.reset() }}{{ c.current }}",
    "{% set j = joiner(', ') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{% for g in objs|groupby('v') %}{{ g.grouper }}:{{ g.list|map(attribute='n')|join(',') }};{% endfor %}",
    "{% for k, v in objs|groupby('v') %}{{ k }}:{{ v|length }};{% endfor %}",
    "{% set g = l|map('string') %}{{ g|join }}{{ g|join }}|{{ 1 if g else 2 }}",
    "{% for i in l|map('string') %}{{ loop.length }}{{ i }}{% endfor %}",
    "{% for row in range(5)|batch(2) %}{{ row|join }};{% endfor %}",
    "{% for a in l %}{% if a == 1 %}{% set l = [9] %}{% endif %}{{ l }}{% endfor %}{{ l }}",
    "{% for loop2 in l %}{{ loop.index }}{% endfor %}{{ loop is defined }}",
    "{% for x in l %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in l %}{% endfor %}{{ i is defined }}",
    "{% set x = x + 1 %}{{ x }}{% set x = x + 1 %}{{ x }}",
    "{% set s = s ~ '!' %}{% for i in l %}{% set s = s ~ i %}{% endfor %}{{ s }}",
    "{% set a = 'x' %}{% set b = a ~ 'y' %}{% set c = a ~ 'z' %}{{ a }}{{ b }}{{ c }}",
    "{% set a = 'x' * 300 %}{% set b = a ~ 'y' %}{% set c = b ~ 'z' %}{% set e = b ~ 'q' %}{{ b[-1] }}{{ c[-2:] }}{{ e[-2:] }}{{ e|length }}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% endif %}",
    "{% if %}{% endif %}",
    "{% if x %}",
    "{% for i in l %}{% endif %}",
    "{% for in l %}{% endfor %}",
    "{% for i l %}{% endfor %}",
    "{% nonexistent %}",
    "{% set 1 = 2 %}",
    "{% set a.b.c = 2 %}",
    "{% break %}",
    "{{ x",
    "{% if x",
    "{# x",
    "{{ }}",
    "{{ x }",
    "{ { x }}",
    "{{{'a': 1}.a}}",
    "{{ {'a': {'b': 2}}['a']['b'] }}",
    "{{x}}{{-x-}}{{ x }}",
    "{{- ' a ' -}}\n\n  b",
    "a {{+ x }}",
    "{%if x%}a{%else%}b{%endif%}",
    "{% if x %}\n\n\na{% endif %}",
    "{%- if x %}\na\n{%- endif %}\nb",
    "{% if x -%}\n  a\n{% endif -%}\n  b",
    "  {%- set y = 1 %}\n  {%- set z = 2 -%}\n  y{{ y }}",
    "<|a|>{% for i in l %}\n<|b|>{{ i }}\n{% endfor %}\n<|c|>",
    "{% for i in l -%}\n  {{ i }}\n{%- endfor %}",
    "{% if t %}{% if t %}\n  a\n  {% endif %}\n{% endif %}\n  {% if t %}b{% endif %}  \n",
    "{% if x is nonexistent %}{% endif %}",
    "{% if false %}{{ x|nonexistent }}{% endif %}ok",
    "{% if false %}{% if x is nonexistent %}{% endif %}{% endif %}ok",
    "{% for i in [] %}{{ x|nonexistent }}{% endfor %}ok",
    "{{ x|nonexistent if false else 'ok' }}",
    "{% macro m() %}{{ x|nonexistent }}{% endmacro %}ok",
    "{% if false %}{% for i in l %}{{ x|nonexistent }}{% endfor %}{% endif %}ok",
    "{% if false %}{{ zzz.y.z }}{% endif %}ok",
    "{% if t %}{{ raise_exception('no: ' ~ x) }}{% endif %}",
    "{%- macro f(v) -%}{%- if v is mapping -%}{%- for k, w in v|dictsort -%}{{ k }}:{{ f(w) }};{%- endfor -%}{%- elif v is iterable and v is not string -%}[{%- for w in v -%}{{ f(w) }}{{ ',' if not loop.last }}{%- endfor -%}]{%- else -%}{{ v }}{%- endif -%}{%- endmacro -%}{{ f(d) }}",
    "{{ d.a | map('string') | join(' & ') }}",
    "{% set x = namespace(v=[]) %}{% set x.v = x.v + [1] %}{% set x.v = x.v + [2] %}{{ x.v }}{{ x }}",
    "{% set messages = objs %}{% for m in messages[1:] %}{{ m['n'] }}{% endfor %}{{ messages[-1].n }}{{ messages[:1]|length }}",
    "{% for m in objs %}{% if loop.first %}F{% elif loop.last %}L{% else %}M{% endif %}{{ loop.previtem.n if loop.previtem is defined }}{% endfor %}",
    "{{ 'a'\n~ 'b'\n}}\nline{% set q =\n1 %}{{ q }}",
    "{% set a = [] %}{% set _ = a.append(a) %}{{ a|length }}",
    "{% call nonexistent() %}x{% endcall %}",
    "{% call x %}x{% endcall %}",
    "{% set t = 'x' if x else 'y' %}{{ t }}",
    "{% set t = (1, 2) %}{{ t[0] }}{% set a, b = t %}{{ a + b }}",
    "{% macro m(a) -%}\n  {{ a }}\n{%- endmacro %}\n{{ m('q') }}",
    "{{ caller() }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% for i in l %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}.",
    "{% for a in [1, 2] %}{% for b in [1, 2] %}{% if b == 2 %}{% break %}{% endif %}{{ a }}{{ b }};{% endfor %}{% endfor %}",
    "{% for i in range(3) %}{% filter upper %}a{{ i }}{% endfilter %}{% endfor %}",
    "{% set ns = namespace(a=1) %}{% macro m() %}{% set ns.a = ns.a + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.a }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}",
]

CASES = [("{{ " + e + " }}", V) for e in EXPRESSIONS] + [(s, V) for s in STATEMENTS]
