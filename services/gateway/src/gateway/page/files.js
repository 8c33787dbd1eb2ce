// File recognition before judging: one mail, several, or none. This script does not touch the page.
"use strict";

const MAILBOX_LIMIT = 64 * 1024 * 1024;
const LOOKED_AT = 4096;

/** First bytes of files that are not mail, and what they are. */
const FORMATS = [
  ["\x89PNG", "a PNG image"],
  ["\xff\xd8\xff", "a JPEG image"],
  ["GIF8", "a GIF image"],
  ["RIFF", "a picture, a sound or a film"],
  ["II*\0", "a TIFF image"],
  ["MM\0*", "a TIFF image"],
  ["OggS", "a sound"],
  ["ID3", "a sound"],
  ["%PDF", "a PDF document"],
  ["{\\rtf", "a rich text document"],
  ["\x7fELF", "a program"],
  ["MZ\x90", "a program"],
];
/** The same for files that contain mail, with the step that extracts it. */
const CONTAINERS = [
  ["PK\x03\x04", "a ZIP archive", "Unpack it and open a mail of it."],
  ["PK\x05\x06", "an empty ZIP archive", "Unpack it and open a mail of it."],
  ["\x1f\x8b", "compressed by gzip", "Unpack it and open what is in it."],
  ["BZh", "compressed by bzip2", "Unpack it and open what is in it."],
  ["\xfd7zXZ", "compressed by xz", "Unpack it and open what is in it."],
  ["\x28\xb5\x2f\xfd", "compressed by zstd", "Unpack it and open what is in it."],
  ["7z\xbc\xaf", "a 7-Zip archive", "Unpack it and open a mail of it."],
  ["Rar!", "a RAR archive", "Unpack it and open a mail of it."],
  ["!BDN", "an Outlook mailbox (.pst)", "Save one mail of it as .eml or text, and open that."],
  ["\x78\x9f\x3e\x22", "an attachment of Outlook's (winmail.dat)", "Open the mail that it came with."],
];
const OFFICE = "\xd0\xcf\x11\xe0";
const SAVE = "Save the mail as .eml or text, and open that.";

const latin1 = (bytes) => {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return text;
};

/** Return a sentence that says why a file cannot be a mail, or "" if it can. */
function unfit(bytes, name) {
  const head = latin1(bytes.subarray(0, LOOKED_AT));
  if (head.startsWith(OFFICE)) {
    const outlook = name.toLowerCase().endsWith(".msg");
    return `${name} is ${outlook ? "an Outlook message (.msg)" : "an Office document"}, which cannot be read here. ${SAVE}`;
  }
  const office = /\.(docx|xlsx|pptx|od[tsp])$/i.test(name) && head.startsWith("PK");
  if (office) return `${name} is an Office document, not a mail. ${SAVE}`;
  for (const [magic, what, then] of CONTAINERS) if (head.startsWith(magic)) return `${name} is ${what}. ${then}`;
  for (const [magic, what] of FORMATS) if (head.startsWith(magic)) return `${name} is ${what}, not a mail. ${SAVE}`;
  if (head.slice(4, 8) === "ftyp") return `${name} is a film or a picture, not a mail. ${SAVE}`;
  return isText(bytes) ? "" : `${name} is not text, so it is no mail. ${SAVE}`;
}

/** Return whether bytes are text: hardly any control characters at the beginning or in all; a single one is allowed. */
function isText(bytes) {
  if (utf16(bytes)) return true;
  let controls = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    // Allowed: tab, line ends, form feed, and the shifts and escapes by which Japanese mail switches character sets.
    if (byte < 9 || (byte > 13 && byte < 32 && byte !== 14 && byte !== 15 && byte !== 27) || byte === 11) controls++;
    if (i === 511 && controls > 10) return false;
  }
  return controls <= Math.max(1, 0.02 * bytes.length);
}

const utf16 = ([first, second]) => (first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "");

/** Decode bytes as UTF-8, else each byte as one character, as the trainer does. The decoder's "latin1" is a different one. */
function textOf(bytes) {
  if (utf16(bytes)) return new TextDecoder(utf16(bytes)).decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** Return a mail without Apple Mail's additions: a byte count before it and notes behind it. */
function withoutNotes(bytes, name) {
  const size = name.toLowerCase().endsWith(".emlx") && /^\s*(\d+)\s*?\n/.exec(latin1(bytes.subarray(0, 64)));
  return size ? bytes.subarray(size[0].length, size[0].length + Number(size[1])) : bytes;
}

const SEPARATOR = /(^|\r?\n\r?\n)From \S.{0,200}?\b\d{4}\b[^\r\n]{0,50}\r?\n(?=>?[!-9;-~]+:)/g;

/** Return the mails of a mailbox in mbox format; any other text is one mail. */
function mailsOf(text) {
  if (!text.startsWith("From ")) return [text];
  const starts = [...text.matchAll(SEPARATOR)].map((found) => found.index + found[1].length);
  return starts.length < 2 ? [text] : starts.map((start, i) => text.slice(start, starts[i + 1]));
}

/** Return a header's value without decoding it. */
function header(text, name) {
  const head = text.slice(0, 16384).split(/\r?\n\r?\n/, 1)[0].replace(/\r?\n[ \t]+/g, " ");
  const found = new RegExp(`^${name}:[ \\t]*(.*)$`, "im").exec(head);
  return found ? found[1].trim().slice(0, 200) : "";
}

/** Return a note about a text that is judged although it is not a mail; "" for a mail. */
function oddity(text) {
  const head = text.slice(0, LOOKED_AT).trimStart();
  if (/^BEGIN:V(CALENDAR|CARD)/i.test(head)) return "It is a calendar entry or a contact, not a mail: it is judged as plain text.";
  if (/^<(!doctype html|html|head|body)\b/i.test(head)) return "It is a web page, not a mail: its source is judged as plain text.";
  if (/^<(\?xml|svg|!--|[a-z]+[\s>])/i.test(head)) return "It is XML or HTML, not a mail: its source is judged as plain text.";
  if (/^[{[]\s*["{[\]}]/.test(head)) return "It looks like data (JSON), not a mail: it is judged as plain text.";
  if (/^(From \S[^\n]*\n)?>?[!-9;-~]+:[ \t\r\n]/.test(head)) return "";
  return "It has no headers of a mail: it is judged as plain text.";
}
