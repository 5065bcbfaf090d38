import { readFile } from 'node:fs/promises'

/** What a page shows, to be tried by a test. */
export interface Page {
  text: string
  /** Every block of code, in order. */
  blocks: { language: string; text: string }[]
  /** The first block in this language that has this in it. Throws where there is none. */
  block(language: string, part: string): string
  /** The rows of the table that has this heading, each cell as its text. Throws where there is none. */
  table(heading: string): string[][]
}

export async function readPage(file: URL): Promise<Page> {
  const text = await readFile(file, 'utf8')
  // In a list they are indented.
  const blocks = [...text.matchAll(/^( *)```(\w+)\n([\s\S]*?)^\1```/gm)].map(
    ([, indentation = '', language = '', code = '']) => ({
      language,
      text: code.replaceAll(new RegExp(`^${indentation}`, 'gm'), ''),
    }),
  )
  return {
    text,
    blocks,
    block(language, part) {
      const found = blocks.find((candidate) => candidate.language === language && candidate.text.includes(part))
      if (!found) throw new Error(`${file.pathname} has no ${language} block with “${part}”.`)
      return found.text
    },
    table(heading) {
      const start = text.indexOf(heading)
      if (start < 0) throw new Error(`${file.pathname} has no table headed “${heading}”.`)
      const [lines = ''] = text.slice(start).split('\n\n', 1)
      return lines
        .split('\n')
        .slice(2)
        .map((line) =>
          line
            .split('|')
            .slice(1, -1)
            .map((cell) => cell.trim()),
        )
    },
  }
}

/** What a cell of a table has between backticks. */
export const codes = (cell: string | undefined) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)
