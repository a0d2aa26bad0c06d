"""A display formula as a line of plain text, where that is simple."""

import re
import unicodedata

_SYMBOLS = {
    "cdot": "·", "dots": "…", "ge": "≥", "geq": "≥", "in": "∈", "infty": "∞", "le": "≤", "leq": "≤", "leftarrow": "←",
    "lVert": "‖", "rVert": "‖", "|": "‖", "lvert": "|", "rvert": "|", "nabla": "∇", "ne": "≠", "neq": "≠", "pm": "±",
    "prod": "Π", "sum": "Σ", "int": "∫", "times": "×", "to": "→", "top": "T", "mid": "|", "gg": "≫", "ll": "≪",
    "approx": "≈", "partial": "∂", "ell": "ℓ", "lfloor": "⌊", "rfloor": "⌋", "langle": "⟨", "rangle": "⟩", "star": "*",
    "odot": "⊙", "circ": "∘", "equiv": "≡", "propto": "∝", "sim": "~", "notin": "∉", "cup": "∪", "cap": "∩",
    "{": "{", "}": "}", ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "quad": "\0", "qquad": "\0",
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "varphi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω", "xi": "ξ", "zeta": "ζ", "Gamma": "Γ", "Delta": "Δ",
    "Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
_FUNCTIONS = {"arccos", "arctan", "cos", "cosh", "det", "exp", "inf", "lim", "log", "max", "min", "sign", "sin", "sinh",
              "sup", "tan", "tanh", "arg", "ln"}  # fmt: skip
_SIZES = {"left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "bigg", "Bigg", "displaystyle", "limits"}
_ACCENTS = {"hat": "\u0302", "widehat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "vec": "\u20d7"}
_LETTERS = {"operatorname", "text", "mathrm", "mathbf", "mathcal", "mathbb", "boldsymbol"}
_FRACTIONS = {"1/2": "½", "1/4": "¼", "3/4": "¾"}
_RAISED = dict(
    zip("0123456789+-=()abcdefghijklmnoprstuvwxyzγ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵞ", strict=True)
)
_LOWERED = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨ", strict=True))
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)


class _NotSimple(Exception):
    """There is a command that has no plain form."""


def plain(formula: str) -> str:
    r"""The formula in Unicode; as it stands, in LaTeX, where something in it has no simple form.

    >>> plain(r"\frac{1 - p_y^q}{q}, \qquad p = \operatorname{softmax}(x)")
    '(1 - p_y^q)/q,   p = softmax(x)'
    >>> plain(r"\begin{cases} \tfrac12 e^2 & |e| \le \delta \\ 0 & |e| > \delta \end{cases}")
    '{ ½ e² if |e| ≤ δ; 0 if |e| > δ }'
    >>> print(plain(r"\unheardof{x}"))
    \unheardof{x}
    """
    try:
        text = _Reader(formula).everything()
    except (_NotSimple, IndexError):
        return formula
    text = re.sub(r"(?<=[(\[]) +| +(?=[)\],;])", "", text)
    return re.sub(r" *\0 *", "   ", re.sub(r" {2,}", " ", text)).strip()


class _Reader:
    """Reads tokens from left to right; what a command takes is read by itself."""

    def __init__(self, formula: str) -> None:
        self._tokens: list[str] = [" " if token.isspace() else token for token in _TOKEN.findall(formula)][::-1]

    def everything(self) -> str:
        pieces: list[str] = []
        while self._tokens:
            pieces.append(self._next(pieces))
        return "".join(pieces)

    def _argument(self) -> str:
        while self._tokens[-1] == " ":
            self._tokens.pop()
        return self._next([])

    def _next(self, before: list[str]) -> str:
        token = self._tokens.pop()
        if token == "{":
            return self._until("}")
        if token in "^_":
            return _script(token, self._argument())
        if not token.startswith("\\"):
            return token
        return self._command(token[1:], before)

    def _until(self, end: str) -> str:
        pieces: list[str] = []
        while self._tokens[-1] != end:
            pieces.append(self._next(pieces))
        self._tokens.pop()
        return "".join(pieces)

    def _command(self, name: str, before: list[str]) -> str:
        if name in _FUNCTIONS:
            glued = bool(before) and before[-1][-1:].isalnum()
            return f" {name}" if glued else name
        if name in ("rVert", "right") and before:
            before[-1] = before[-1].rstrip()
        if name in ("lVert", "left"):
            bracket = _SYMBOLS[name] if name == "lVert" else self._argument()
            while self._tokens[-1] == " ":
                self._tokens.pop()
            return bracket
        if name in _SIZES:
            return ""
        if name in _SYMBOLS:
            return _SYMBOLS[name]
        if name in _LETTERS:
            return self._argument()
        if name in _ACCENTS:
            return unicodedata.normalize("NFC", self._argument() + _ACCENTS[name])
        if name in ("frac", "tfrac", "dfrac"):
            return _fraction(self._argument(), self._argument(), "".join(before).rstrip())
        if name == "sqrt":
            inside = self._argument()
            return f"√{inside}" if _is_atom(inside) else f"√({inside.strip()})"
        if name == "begin" and self._argument() == "cases":
            return self._cases()
        raise _NotSimple(name)

    def _cases(self) -> str:
        pieces: list[str] = []
        while True:
            token = self._tokens[-1]
            if token == "\\end":
                self._tokens.pop()
                self._argument()
                return "{ " + " ".join("".join(pieces).split()).replace(" ;", ";") + " }"
            if token in ("&", "\\\\"):
                self._tokens.pop()
                pieces.append("if " if token == "&" else "; ")
            else:
                pieces.append(self._next(pieces))


def _is_atom(text: str) -> bool:
    return bool(re.fullmatch(r"[\w.!²³ⁿᵢⱼₖ]+|\|[^|]*\||‖[^‖]*‖", unicodedata.normalize("NFC", text)))


def _fraction(top: str, bottom: str, before: str) -> str:
    top, bottom = (part if _is_atom(part) else f"({part.strip()})" for part in (top, bottom))
    text = _FRACTIONS.get(f"{top}/{bottom}", f"{top}/{bottom}")
    follows_a_function = any(before.endswith(name) for name in _FUNCTIONS)
    return f"({text})" if follows_a_function else text


def _script(kind: str, inside: str) -> str:
    table = _RAISED if kind == "^" else _LOWERED
    compact = inside.replace(" ", "")
    if all(letter in table for letter in compact):
        return "".join(table[letter] for letter in compact)
    return kind + (compact if len(compact) == 1 else f"({inside.strip()})" if kind == "^" else f"_{{{compact}}}"[1:])
