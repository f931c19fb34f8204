// Rules for the page's scripts. They are plain scripts that share one global, `sdtune`, and never write markup.
import js from '@eslint/js';

const BROWSER = [
    'AbortSignal',
    'Blob',
    'DataTransfer',
    'File',
    'window',
    'document',
    'localStorage',
    'navigator',
    'performance',
    'fetch',
    'setTimeout',
    'clearTimeout',
    'Event',
    'CSS',
    'URL',
    'IntersectionObserver',
    'MutationObserver',
    'NodeFilter',
    'ResizeObserver',
    'TextDecoder',
    'getComputedStyle',
];

export default [
    {ignores: ['**/.venv/', '**/node_modules/']}, // libraries are not ours to lint
    js.configs.recommended,
    {
        files: ['**/*.js'],
        languageOptions: {sourceType: 'script', globals: Object.fromEntries(BROWSER.map((name) => [name, 'readonly']))},
        rules: {
            eqeqeq: 'error',
            'max-len': ['error', {code: 120}],
            'max-lines': ['error', 300],
            'no-eval': 'error',
            'no-implicit-globals': 'error',
            'no-restricted-properties': [
                'error',
                {property: 'innerHTML', message: 'Text from outside is never markup: use sdtune.el or textContent.'},
                {property: 'outerHTML', message: 'Text from outside is never markup: use sdtune.el or textContent.'},
                {property: 'insertAdjacentHTML', message: 'Text from outside is never markup: use sdtune.el.'},
            ],
            'no-shadow': 'error',
            'no-unused-vars': ['error', {args: 'after-used', caughtErrors: 'none'}],
            'no-var': 'error',
            'one-var': ['error', 'never'],
            'prefer-const': 'error',
        },
    },
];
