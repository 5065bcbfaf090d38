import {
  Alert,
  Badge,
  type CSSVariablesResolver,
  convertCssVariables,
  createTheme,
  DEFAULT_THEME,
  Drawer,
  defaultCssVariablesResolver,
  type MantineColorsTuple,
  Modal,
  mergeMantineTheme,
} from '@mantine/core'

const latch: MantineColorsTuple = [
  '#e8f7f5',
  '#d3ebe8',
  '#a5d6d1',
  '#74c0b9',
  '#4dada5',
  '#34a299',
  '#0f7d76',
  '#0b6e69',
  '#045f5b',
  '#00504c',
]

/** Darker than Mantine's where text is red, or stands on it. */
const red: MantineColorsTuple = [
  '#fff1f1',
  '#ffe0e0',
  '#ffc4c4',
  '#ff9c9c',
  '#fa7070',
  '#ee4d4d',
  '#d93636',
  '#c02626',
  '#a61e1e',
  '#8a1a1a',
]

export const theme = createTheme({
  primaryColor: 'latch',
  primaryShade: { light: 7, dark: 6 },
  colors: { latch, red },
  defaultRadius: 'md',
  fontFamily: 'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  cursorType: 'pointer',
  respectReducedMotion: true,
  components: {
    // Mantine would lock the page's scrolling by a style sheet in the page, which its Content-Security-Policy refuses:
    // frame.css does it.
    Modal: Modal.extend({
      defaultProps: { lockScroll: false, centered: true, closeButtonProps: { 'aria-label': 'Close' } },
    }),
    Drawer: Drawer.extend({
      defaultProps: { lockScroll: false, position: 'right', size: 520, closeButtonProps: { 'aria-label': 'Close' } },
    }),
    Alert: Alert.extend({ defaultProps: { variant: 'light' } }),
    Badge: Badge.extend({ defaultProps: { variant: 'light', radius: 'sm', tt: 'none', fw: 600, miw: 'max-content' } }),
  },
})

/** Mantine's own colours for lesser text and on light grounds fall short of the contrast that WCAG 2.2 AA asks for. */
const readable: CSSVariablesResolver = (merged) => {
  const { variables, light, dark } = defaultCssVariablesResolver(merged)
  return {
    variables,
    light: {
      ...light,
      '--mantine-color-dimmed': merged.colors.gray[7],
      '--mantine-color-placeholder': merged.colors.gray[6],
      '--mantine-color-error': merged.colors.red[7],
      '--mantine-color-orange-light-color': '#8a3208',
      '--mantine-color-yellow-light-color': '#6b4400',
    },
    dark: {
      ...dark,
      '--mantine-color-dimmed': merged.colors.dark[1],
      '--mantine-color-error': merged.colors.red[4],
      '--mantine-color-red-light-color': merged.colors.red[3],
      '--mantine-color-gray-light': merged.colors.dark[4],
    },
  }
}

/** As a style sheet of the document, since the Content-Security-Policy refuses a `<style>` in the page. */
export function adoptTheme(): void {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(convertCssVariables(readable(mergeMantineTheme(DEFAULT_THEME, theme)), ':root'))
  document.adoptedStyleSheets.push(sheet)
}
