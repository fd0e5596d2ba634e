// SPDX-License-Identifier: Apache-2.0
/** C's printf over the argument block of a CUDA kernel: 8-byte slots for 8-byte values, else 4. */

export type ReadText = (address: bigint) => string;

function fixed(value: number, spec: string, precision: number): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  }
  const exponent = (text: string): string => text.replace(/e([-+])(\d)$/, "e$10$2");
  if (spec === "f") return value.toFixed(precision);
  if (spec === "e") return exponent(value.toExponential(precision));
  const digits = precision === 0 ? 1 : precision;
  const power = value === 0 ? 0 : Number(value.toExponential(digits - 1).split("e")[1]);
  if (power < -4 || power >= digits) {
    const [mantissa = "", tail = ""] = value.toExponential(digits - 1).split("e");
    const short = mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa;
    return exponent(`${short}e${tail}`);
  }
  const plain = value.toFixed(Math.max(0, digits - 1 - power));
  return plain.includes(".") ? plain.replace(/\.?0+$/, "") : plain;
}

function padded(text: string, flags: string, width: number): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0")) return text.padStart(width);
  const sign = /^[-+]|^0x/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}

/** Formats; `arguments_` holds the values one after the other, each aligned to its size. */
export function formatPrintf(format: string, arguments_: DataView, text: ReadText): string {
  let at = 0;
  const next = (bytes: number): number => {
    at = Math.ceil(at / bytes) * bytes;
    const here = at;
    at += bytes;
    return here;
  };
  const pattern = /%([-+ #0]*)(\d+|\*)?(?:\.(\d+|\*))?(hh|h|ll|l|z|j|t)?([diouxXcsfFeEgGp%])/g;
  return format.replace(pattern, (...match: string[]) => {
    const [, flags = "", width, precision, length = "", spec = ""] = match;
    if (spec === "%") return "%";
    const number = (given: string | undefined): number | undefined =>
      given === "*"
        ? arguments_.getInt32(next(4), true)
        : given === undefined
          ? undefined
          : Number(given);
    const columns = number(width) ?? 0;
    const digits = number(precision);
    const signed = (value: string): string =>
      flags.includes("+") && !value.startsWith("-") ? `+${value}` : value;
    switch (spec) {
      case "s":
        return padded(text(arguments_.getBigUint64(next(8), true)), flags, columns);
      case "c":
        return padded(String.fromCharCode(arguments_.getInt32(next(4), true)), flags, columns);
      case "p":
        return padded(`0x${arguments_.getBigUint64(next(8), true).toString(16)}`, flags, columns);
      case "d":
      case "i":
      case "u":
      case "o":
      case "x":
      case "X": {
        const wide = /^(ll|l|z|j|t)$/.test(length);
        const sign = spec === "d" || spec === "i";
        const where = next(wide ? 8 : 4);
        const value = wide
          ? sign
            ? arguments_.getBigInt64(where, true)
            : arguments_.getBigUint64(where, true)
          : sign
            ? arguments_.getInt32(where, true)
            : arguments_.getUint32(where, true);
        const base = spec === "o" ? 8 : spec.toLowerCase() === "x" ? 16 : 10;
        const shown = value.toString(base);
        const prefix = !flags.includes("#") || base === 10 ? "" : base === 16 ? "0x" : "0";
        const cased = spec === "X" ? (prefix + shown).toUpperCase() : prefix + shown;
        return padded(sign ? signed(cased) : cased, flags, columns);
      }
      default: {
        const value = arguments_.getFloat64(next(8), true);
        const shown = fixed(value, spec.toLowerCase(), digits ?? 6);
        return padded(signed(shown), flags, columns);
      }
    }
  });
}
