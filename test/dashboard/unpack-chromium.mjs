// Unpacks the Chromium that @sparticuz/chromium carries: `node unpack-chromium.mjs DIRECTORY`. A process of its own,
// because the package unpacks into the folder for temporary files, which is a setting of the whole process.
const [directory] = process.argv.slice(2);
process.env.TMPDIR = directory;
// Only a machine that says this of itself gets the libraries too, which a bare machine may lack.
process.env.AWS_EXECUTION_ENV = "AWS_Lambda_nodejs20.x";
const { default: chromium } = await import("@sparticuz/chromium");
await chromium.executablePath();
