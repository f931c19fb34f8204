"""Pages of one file each, curves as SVG, contact sheets: what a person looks at outside the tab."""
